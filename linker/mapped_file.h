// A file's content as memory, without reading it.
//
// Archives are megabytes of which a check looks at a few kilobytes, so they are mapped: the kernel brings in the pages
// that are touched and no others. The price is that a mapping is no private copy. A program that rewrites the file in
// place is seen at once, and one that truncates it makes the next access beyond the new end a SIGBUS. Build tools
// replace libraries by renaming a new file over the old, which leaves a mapping alone. Code that must survive anything
// reads instead (see content_identity.h).
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "protocol/result.h"

namespace splicehost::linker {

// Owns a read-only mapping of a whole regular file. Whoever holds spans or string views into
// bytes() keeps the MappedFile alive; moving it does not move the bytes.
class MappedFile {
 public:
  // Fails if the file cannot be opened or is not a regular file. A FIFO or device is refused
  // without waiting on it or reading from it. An empty file is an empty span.
  static Result<MappedFile> open(const std::string& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::span<const std::byte> bytes) : bytes_(bytes) {}

  std::span<const std::byte> bytes_;
};

}  // namespace splicehost::linker
