#include "base/mapped_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <string>
#include <vector>

namespace inferno {
namespace {

using ::testing::HasSubstr;

class MappedFileTest : public ::testing::Test {
 protected:
  MappedFileTest() {
    std::string name = (std::filesystem::temp_directory_path() / "mapped_file_XXXXXX").string();
    folder_ = ::mkdtemp(name.data());
  }
  ~MappedFileTest() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path write(const std::string& name, const std::vector<uint8_t>& bytes) {
    const std::filesystem::path path = folder_ / name;
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return path;
  }

  std::filesystem::path folder_;
};

std::vector<uint8_t> counted(size_t count) {
  std::vector<uint8_t> bytes(count);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  return bytes;
}

TEST_F(MappedFileTest, ShowsTheBytesOfTheFile) {
  const std::vector<uint8_t> bytes = counted(100'000);
  const Result<MappedFile> file = MappedFile::open(write("a", bytes));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(std::ranges::equal(file->bytes(), bytes));
  EXPECT_EQ(file->path(), folder_ / "a");
}

TEST_F(MappedFileTest, MovingKeepsTheAddress) {
  Result<MappedFile> file = MappedFile::open(write("a", counted(5000)));
  ASSERT_TRUE(file);
  const uint8_t* address = file->bytes().data();
  MappedFile moved = std::move(*file);
  EXPECT_EQ(moved.bytes().data(), address);
  EXPECT_TRUE(file->bytes().empty());
  MappedFile assigned;
  assigned = std::move(moved);
  EXPECT_EQ(assigned.bytes().data(), address);
  EXPECT_EQ(assigned.bytes()[4999], uint8_t(4999 % 256));
}

TEST_F(MappedFileTest, AnEmptyFileIsAnEmptySpan) {
  const Result<MappedFile> file = MappedFile::open(write("empty", {}));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->bytes().empty());
  file->advise_sequential();
  file->drop_pages(file->bytes());
}

TEST_F(MappedFileTest, AMissingFileIsNotFound) {
  const Result<MappedFile> file = MappedFile::open(folder_ / "absent");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().fault, Fault::kNotFound);
  EXPECT_THAT(file.error().message, HasSubstr("absent"));
}

TEST_F(MappedFileTest, AFolderOrAPipeIsRefused) {
  const Result<MappedFile> folder = MappedFile::open(folder_);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().fault, Fault::kInvalid);
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  const Result<MappedFile> pipe = MappedFile::open(folder_ / "pipe");
  ASSERT_FALSE(pipe);
  EXPECT_THAT(pipe.error().message, HasSubstr("regular file"));
}

TEST_F(MappedFileTest, DroppedPagesReadTheSameAgain) {
  const std::vector<uint8_t> bytes = counted(300'000);
  const Result<MappedFile> file = MappedFile::open(write("a", bytes));
  ASSERT_TRUE(file);
  file->advise_sequential();
  file->drop_pages(file->bytes().subspan(1, 200'000));
  file->drop_pages(file->bytes().subspan(10, 20));
  EXPECT_TRUE(std::ranges::equal(file->bytes(), bytes));
}

}  // namespace
}  // namespace inferno
