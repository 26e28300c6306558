# Turns the files of the chat page into one C++ source that defines inferno::serve::page_files().
#
#   cmake -DPAGE_DIRECTORY=... -DPAGE_FILES=index.html,app.js -DPAGE_OUTPUT=page_bundle.cc \
#     -P embed.cmake
#
# The bytes are written as character constants, so any content works, and the table is sorted by
# path, which is what find_page_file() searches. A file whose kind is not known stops the build.

function(content_type_of file result)
  get_filename_component(extension ${file} LAST_EXT)
  if(extension STREQUAL ".html")
    set(${result} "text/html; charset=utf-8" PARENT_SCOPE)
  elseif(extension STREQUAL ".js")
    set(${result} "text/javascript; charset=utf-8" PARENT_SCOPE)
  elseif(extension STREQUAL ".css")
    set(${result} "text/css; charset=utf-8" PARENT_SCOPE)
  elseif(extension STREQUAL ".svg")
    set(${result} "image/svg+xml" PARENT_SCOPE)
  else()
    message(FATAL_ERROR "page file ${file}: no content type is known for '${extension}'")
  endif()
endfunction()

string(REPLACE "," ";" names "${PAGE_FILES}")
list(REMOVE_ITEM names index.html)
list(SORT names)
list(PREPEND names index.html)  # "/" sorts before every other path

set(arrays "")
set(table "")
set(index 0)
foreach(name IN LISTS names)
  file(READ ${PAGE_DIRECTORY}/${name} bytes HEX)
  string(LENGTH "${bytes}" digit_count)
  math(EXPR byte_count "${digit_count} / 2")
  if(byte_count EQUAL 0)
    message(FATAL_ERROR "page file ${name} is empty")
  endif()
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
  content_type_of(${name} type)
  if(name STREQUAL "index.html")
    set(path "/")
  else()
    set(path "/${name}")
  endif()
  string(APPEND arrays "// ${name}\nconstexpr char kFile${index}[] = {${bytes}};\n")
  string(APPEND table "    {\"${path}\", \"${type}\", {kFile${index}, ${byte_count}}},\n")
  math(EXPR index "${index} + 1")
endforeach()

file(WRITE ${PAGE_OUTPUT} "// Generated from src/serve/page/ by page/embed.cmake.
#include \"serve/page.h\"

namespace inferno::serve {
namespace {

${arrays}
constexpr PageFile kFiles[] = {
${table}};

}  // namespace

std::span<const PageFile> page_files() { return kFiles; }

}  // namespace inferno::serve
")
