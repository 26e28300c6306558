# Compile options that every target of the project shares, as the interface library inferno_options.

add_library(inferno_options INTERFACE)
target_include_directories(inferno_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(inferno_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror
  # One multiply-add must mean one rounding only where a kernel says so with fma(): a contraction the
  # compiler chose would differ between instruction sets and break bit-identical answers.
  -ffp-contract=off)
target_compile_definitions(inferno_options INTERFACE INFERNO_VERSION="${PROJECT_VERSION}")
if(CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  # g++ 12 sees the empty std::optional<std::string> as uninitialized and says so at every move of one.
  target_compile_options(inferno_options INTERFACE -Wno-maybe-uninitialized)
endif()
if(CMAKE_CXX_COMPILER_ID MATCHES Clang)
  target_compile_options(inferno_options INTERFACE -Wthread-safety)
endif()
if(INFERNO_SANITIZE)
  target_compile_options(inferno_options INTERFACE -fsanitize=${INFERNO_SANITIZE}
    -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(inferno_options INTERFACE -fsanitize=${INFERNO_SANITIZE})
  if(INFERNO_SANITIZE MATCHES "thread")
    # Tests that count allocations bring an operator new of their own, and so does clang here.
    target_link_options(inferno_options INTERFACE -Wl,-z,muldefs)
  endif()
endif()
if(INFERNO_FUZZ)
  # Libraries report their edges to the fuzzer too; only a fuzz target itself brings its main().
  target_compile_options(inferno_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(INFERNO_COVERAGE)
  # clang's source-based coverage: ./dev coverage reads it with llvm-cov.
  target_compile_options(inferno_options INTERFACE -fprofile-instr-generate -fcoverage-mapping)
  target_link_options(inferno_options INTERFACE -fprofile-instr-generate)
endif()
