#include "linker/mapped_file.h"
#include "protocol/system.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace splicehost::linker {
namespace {

Result<std::span<const std::byte>> mapDescriptor(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return systemError("cannot examine the file", errno);
  if (S_ISDIR(status.st_mode)) return Error{"this is a directory, not a file"};
  if (!S_ISREG(status.st_mode)) return Error{"this is not a regular file"};
  // mmap() refuses a length of zero.
  if (status.st_size == 0) return std::span<const std::byte>{};

  const auto size = static_cast<size_t>(status.st_size);
  void* start = mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
  if (start == MAP_FAILED) return systemError("cannot map the file", errno);
  return std::span(static_cast<const std::byte*>(start), size);
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO that nobody writes would wait for ever. It means nothing to the
  // regular files that are let through.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return systemError("cannot open the file", errno);
  Result<std::span<const std::byte>> bytes = mapDescriptor(fd);
  close(fd);
  if (!bytes) return bytes.error();
  return MappedFile(*bytes);
}

MappedFile::MappedFile(MappedFile&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

MappedFile::~MappedFile() {
  if (!bytes_.empty()) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace splicehost::linker
