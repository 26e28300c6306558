#include "base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace inferno {

namespace {

std::string reason(int error_number) {
  return std::generic_category().message(error_number);
}

// Closes a descriptor when the scope ends.
struct Descriptor {
  int fd;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  // O_NONBLOCK: opening a pipe must fail below, not wait for a writer.
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (file.fd < 0) {
    const int error_number = errno;
    const bool absent = error_number == ENOENT || error_number == ENOTDIR;
    return fail(absent ? Fault::kNotFound : Fault::kInvalid, "{}: cannot be opened: {}",
                path.string(), reason(error_number));
  }
  struct stat status{};
  if (::fstat(file.fd, &status) != 0) {
    return fail(Fault::kInvalid, "{}: cannot be examined: {}", path.string(), reason(errno));
  }
  if (!S_ISREG(status.st_mode)) {
    return fail(Fault::kInvalid, "{}: is not a regular file", path.string());
  }
  MappedFile mapped;
  mapped.path_ = path;
  if (status.st_size == 0) return mapped;
  const auto size_bytes = static_cast<size_t>(status.st_size);
  void* address = ::mmap(nullptr, size_bytes, PROT_READ, MAP_SHARED, file.fd, 0);
  if (address == MAP_FAILED) {
    return fail(Fault::kInvalid, "{}: {} bytes cannot be mapped: {}", path.string(), size_bytes,
                reason(errno));
  }
  mapped.data_ = static_cast<const uint8_t*>(address);
  mapped.size_bytes_ = size_bytes;
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    unmap();
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    size_bytes_ = std::exchange(other.size_bytes_, 0);
  }
  return *this;
}

MappedFile::~MappedFile() {
  unmap();
}

void MappedFile::unmap() {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_bytes_);
  data_ = nullptr;
  size_bytes_ = 0;
}

void MappedFile::advise_sequential() const {
  if (data_ != nullptr) ::madvise(const_cast<uint8_t*>(data_), size_bytes_, MADV_SEQUENTIAL);
}

void MappedFile::drop_pages(std::span<const uint8_t> part) const {
  if (part.empty()) return;
  CHECK(part.data() >= data_ && part.data() + part.size() <= data_ + size_bytes_,
        "{} bytes at {} lie outside the mapping of {} bytes at {}", part.size(),
        static_cast<const void*>(part.data()), size_bytes_, static_cast<const void*>(data_));
  const auto page_bytes = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<uintptr_t>(part.data());
  const uintptr_t first = (begin + page_bytes - 1) / page_bytes * page_bytes;
  const uintptr_t last = (begin + part.size()) / page_bytes * page_bytes;
  if (first < last) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
}

}  // namespace inferno
