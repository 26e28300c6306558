#include "serve/page.h"

#include <algorithm>

namespace inferno::serve {

const PageFile* find_page_file(std::string_view path) {
  const std::span<const PageFile> files = page_files();
  const auto found = std::ranges::lower_bound(files, path, {}, &PageFile::path);
  return found != files.end() && found->path == path ? &*found : nullptr;
}

std::string_view page_security_policy() {
  return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
         "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
         "require-trusted-types-for 'script'";
}

}  // namespace inferno::serve
