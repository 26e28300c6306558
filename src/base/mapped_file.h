// A file mapped read-only into memory: model files are used in place, never copied.
//
// Invariant: bytes() stays valid and at the same address until the object is destroyed, also across
//            moves.
// Threads:   bytes() may be read from any thread; the object itself is not locked.
// Cost:      opening maps, it reads nothing; pages come in as they are touched.
//
// A file that another process shortens while it is mapped ends this process with SIGBUS when the
// lost pages are touched: model files are replaced by renaming, not by writing into them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace inferno {

class MappedFile {
 public:
  // Maps a regular file. kNotFound when there is none, kInvalid when it is not a regular file or
  // cannot be read. An empty file gives an empty span.
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile();

  std::span<const uint8_t> bytes() const { return {data_, size_bytes_}; }
  const std::filesystem::path& path() const { return path_; }

  // Tells the kernel that the file will be read from front to back, so that it reads further ahead.
  // A hint: failure is ignored.
  void advise_sequential() const;

  // Gives back the memory of the whole pages inside `part`, which must lie in bytes(): what weights
  // need once they are repacked. The bytes stay readable, from the file. A hint: failure is
  // ignored.
  void drop_pages(std::span<const uint8_t> part) const;

 private:
  void unmap();

  std::filesystem::path path_;
  const uint8_t* data_ = nullptr;
  size_t size_bytes_ = 0;
};

}  // namespace inferno
