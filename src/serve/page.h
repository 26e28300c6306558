// The chat page: the static files under src/serve/page/, embedded in the program at build time.
//
//   page/index.html --page/embed.cmake--> page_bundle.cc (generated) --> page_files()
//
// The build turns every file of the folder into one array of bytes, so the server needs neither a
// disk nor a network to show the page. The page holds no inline script or style and loads nothing
// from elsewhere, which is what page_security_policy() promises to the browser.
//
// Threads: all data is constant; any thread may read it at any time.
// Cost:    the files lie in the program's read-only data; nothing is copied or allocated.
#pragma once

#include <span>
#include <string_view>

namespace inferno::serve {

// One file as a GET of `path` answers it.
struct PageFile {
  std::string_view path;          // as in the request: "/" is index.html, others "/app.js"
  std::string_view content_type;  // with its charset where it is text
  std::string_view content;       // the bytes of the file, unchanged
};

// Every file of the page; paths are distinct and sorted, "/" is first.
std::span<const PageFile> page_files();

// The file answering GET `path` (without query string), or null when the page has none of that
// name.
const PageFile* find_page_file(std::string_view path);

// The value of the Content-Security-Policy header to send with each page file: scripts, styles,
// images and connections from this server only, no inline script, no frame, no string turned into
// code. Source: W3C Content Security Policy Level 3.
std::string_view page_security_policy();

}  // namespace inferno::serve
