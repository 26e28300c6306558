#include "serve/page.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace inferno::serve {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

std::filesystem::path page_folder() {
  return std::filesystem::path(INFERNO_SOURCE_DIR) / "src" / "serve" / "page";
}

std::string bytes_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The texts that the first group of `pattern` matches.
std::set<std::string> matches_of(std::string_view text, const std::string& pattern) {
  const std::regex regex(pattern);
  const std::string copy(text);
  std::set<std::string> found;
  for (std::sregex_iterator it(copy.begin(), copy.end(), regex), end; it != end; ++it) {
    found.insert((*it)[1].str());
  }
  return found;
}

TEST(Page, HoldsEveryFileOfItsFolderByteForByte) {
  size_t file_count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(page_folder())) {
    const std::string name = entry.path().filename().string();
    if (entry.path().extension() == ".cmake") continue;
    ++file_count;
    const PageFile* file = find_page_file(name == "index.html" ? "/" : "/" + name);
    ASSERT_NE(file, nullptr) << name;
    EXPECT_TRUE(file->content == bytes_of(entry.path())) << name << " differs from its source";
  }
  EXPECT_EQ(file_count, page_files().size());
  EXPECT_GT(file_count, 4U);
}

TEST(Page, PathsAreSortedAndDistinctAndTheRootIsFirst) {
  const auto files = page_files();
  ASSERT_FALSE(files.empty());
  EXPECT_EQ(files.front().path, "/");
  const auto unordered = std::ranges::adjacent_find(
      files, [](const PageFile& a, const PageFile& b) { return a.path >= b.path; });
  EXPECT_EQ(unordered, files.end());
}

TEST(Page, UnknownPathsAreNotFound) {
  for (const char* path : {"", "//", "/index.htm", "/app.js/", "/../app.js", "/zzz", "app.js"}) {
    EXPECT_EQ(find_page_file(path), nullptr) << path;
  }
}

TEST(Page, ContentTypesLetTheBrowserRunWhatItGets) {
  EXPECT_EQ(find_page_file("/")->content_type, "text/html; charset=utf-8");
  EXPECT_EQ(find_page_file("/app.js")->content_type, "text/javascript; charset=utf-8");
  EXPECT_EQ(find_page_file("/style.css")->content_type, "text/css; charset=utf-8");
  EXPECT_EQ(find_page_file("/icon.svg")->content_type, "image/svg+xml");
}

TEST(Page, EveryReferencedFileIsInTheBundle) {
  const auto from_html =
      matches_of(find_page_file("/")->content, "(?:src|href)=\"(?:\\./)?([^\"#]+)\"");
  EXPECT_TRUE(from_html.contains("app.js") && from_html.contains("style.css"));
  for (const std::string& name : from_html) {
    EXPECT_NE(find_page_file("/" + name), nullptr) << "index.html refers to " << name;
  }
  for (const PageFile& file : page_files()) {
    if (!file.content_type.starts_with("text/javascript")) continue;
    for (const std::string& name : matches_of(file.content, "from \"\\./([^\"]+)\"")) {
      EXPECT_NE(find_page_file("/" + name), nullptr) << file.path << " imports " << name;
    }
  }
}

TEST(Page, NeedsNothingThatItsSecurityPolicyForbids) {
  EXPECT_THAT(std::string(page_security_policy()), HasSubstr("default-src 'none'"));
  EXPECT_THAT(std::string(page_security_policy()), Not(HasSubstr("unsafe")));
  const std::string html(find_page_file("/")->content);
  EXPECT_THAT(html, Not(HasSubstr("<style")));
  EXPECT_TRUE(matches_of(html, "(<script(?![^>]*src=)[^>]*>)").empty()) << "inline script";
  EXPECT_TRUE(matches_of(html, "\\s((?:on[a-z]+|style)=)").empty()) << "inline handler or style";
  for (const PageFile& file : page_files()) {
    const std::string text(file.content);
    for (const char* forbidden : {"innerHTML", "outerHTML", "insertAdjacentHTML", "eval(",
                                  "document.write", "new Function"}) {
      EXPECT_THAT(text, Not(HasSubstr(forbidden))) << file.path;
    }
    const auto loads = matches_of(text, "((?:src=|href=|url\\(|from |import )\"?(?:https?:)?//)");
    EXPECT_TRUE(loads.empty()) << file.path << " loads from elsewhere";
  }
}

}  // namespace
}  // namespace inferno::serve
