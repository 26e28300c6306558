# inferno_folder(NAME [DEPENDS folder ...] [LIBRARIES target ...] [EXCLUDE regex] [TEST_THREADS n])
#
# One folder of src/ becomes the library inferno_NAME. Its files say by their names what they are:
#   x.cc        in the library
#   x_test.cc   in the test program NAME_test, registered with ctest (label: unit)
#   x_bench.cc  in the benchmark program NAME_bench
#   x_fuzz.cc   a libFuzzer program of its own, x_fuzz
# TEST_THREADS n: so many threads of its tests wait for each other in turns. Beside another program
# on the same cores each turn waits for the kernel's scheduler, so ctest counts it as n processes.
function(inferno_folder name)
  cmake_parse_arguments(arg "" "EXCLUDE;TEST_THREADS" "DEPENDS;LIBRARIES" ${ARGN})
  file(GLOB all CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/*/*.cc)
  if(arg_EXCLUDE)
    list(FILTER all EXCLUDE REGEX ${arg_EXCLUDE})
  endif()
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(benches ${all})
  list(FILTER benches INCLUDE REGEX "_bench\\.cc$")
  set(fuzzers ${all})
  list(FILTER fuzzers INCLUDE REGEX "_fuzz\\.cc$")
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "(_test|_bench|_fuzz|/main)\\.cc$")

  list(TRANSFORM arg_DEPENDS PREPEND inferno_)
  if(sources)
    add_library(inferno_${name} STATIC ${sources})
    target_link_libraries(inferno_${name} PUBLIC inferno_options ${arg_DEPENDS} ${arg_LIBRARIES})
    inferno_hasten_library(inferno_${name})
  else()
    add_library(inferno_${name} INTERFACE)
    target_link_libraries(inferno_${name} INTERFACE inferno_options ${arg_DEPENDS} ${arg_LIBRARIES})
  endif()

  if(INFERNO_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE inferno_${name} GTest::gmock_main)
    target_compile_definitions(${name}_test PRIVATE INFERNO_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
    inferno_hasten_tests(${name}_test)
    add_test(NAME ${name} COMMAND ${name}_test)
    set_tests_properties(${name} PROPERTIES LABELS unit TIMEOUT 600)
    if(arg_TEST_THREADS)
      set_tests_properties(${name} PROPERTIES PROCESSORS ${arg_TEST_THREADS})
    endif()
  endif()
  if(INFERNO_BENCHES AND benches)
    add_executable(${name}_bench ${benches})
    target_link_libraries(${name}_bench PRIVATE inferno_${name} benchmark::benchmark_main)
    target_compile_definitions(${name}_bench PRIVATE INFERNO_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  endif()
  if(INFERNO_FUZZ)
    foreach(file ${fuzzers})
      get_filename_component(target ${file} NAME_WE)
      add_executable(${target} ${file})
      target_link_libraries(${target} PRIVATE inferno_${name})
      target_compile_options(${target} PRIVATE -fsanitize=fuzzer)
      target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    endforeach()
  endif()
endfunction()

# A third of the time to build with g++ goes into a few headers that nearly every file includes: they
# are compiled once. The second compiler reads every file as it is written, so none can lack an
# include.
set(inferno_common_headers <algorithm> <array> <atomic> <chrono> <cmath> <condition_variable> <cstdint>
  <cstring> <filesystem> <functional> <limits> <map> <memory> <mutex> <optional> <span> <string>
  <string_view> <thread> <utility> <vector> <fmt/format.h>)

# inferno_compiled_headers(TARGET HEADER ...): a target whose compiled headers others reuse.
# -fpch-preprocess: without it ccache cannot keep what was compiled with them.
function(inferno_compiled_headers target)
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/${target}.cc CONTENT "")
  add_library(${target} OBJECT ${CMAKE_BINARY_DIR}/${target}.cc)
  target_link_libraries(${target} PRIVATE inferno_options fmt::fmt)
  target_precompile_headers(${target} PRIVATE ${ARGN})
endfunction()

# Files of one target go to g++ a few at a time (docs/decisions/0016): what their headers hold is
# instantiated once for all of them. Names in anonymous namespaces must therefore differ within a
# folder (tools/check_tree.py, apart); that a class has a member of a type from there is then no
# mistake.
function(inferno_compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 6)
  target_compile_options(${target} PRIVATE -Wno-subobject-linkage)
endfunction()

function(inferno_hasten_library target)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
  endif()
  if(NOT TARGET inferno_library_headers)
    inferno_compiled_headers(inferno_library_headers ${inferno_common_headers})
  endif()
  target_compile_options(${target} PRIVATE -fpch-preprocess)
  target_precompile_headers(${target} REUSE_FROM inferno_library_headers)
  inferno_compile_together(${target})
endfunction()

# Tests also take googletest's headers compiled, and are optimized less than what they test. At -O1
# g++ 12 sees strings copied beyond their ends where there are none.
function(inferno_hasten_tests target)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    return()
  endif()
  if(NOT TARGET inferno_test_headers)
    inferno_compiled_headers(inferno_test_headers
      ${inferno_common_headers} <gmock/gmock.h> <gtest/gtest.h>)
    target_link_libraries(inferno_test_headers PRIVATE GTest::gmock)
    target_compile_options(inferno_test_headers PRIVATE $<$<CONFIG:Release>:-O1>)
  endif()
  target_compile_options(${target} PRIVATE -fpch-preprocess
    $<$<CONFIG:Release>:-O1;-Wno-array-bounds;-Wno-stringop-overflow>)
  target_precompile_headers(${target} REUSE_FROM inferno_test_headers)
  inferno_compile_together(${target})
endfunction()
