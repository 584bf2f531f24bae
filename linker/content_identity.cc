#include "linker/content_identity.h"

// The functions for SHA-256 alone. What OpenSSL 3 prefers (EVP) brings all that OpenSSL can do into an
// interpreter, which is linked with it statically, and from Debian 13 on zlib and zstd as well.
#define OPENSSL_SUPPRESS_DEPRECATED

#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

namespace splicehost::linker {
namespace {

// Large enough that system calls do not count beside the hashing, small enough to stay in a
// processor's second-level cache.
constexpr std::size_t kReadSize = std::size_t{256} * 1024;

// How often a file may change while it is hashed before the cache gives up on it.
constexpr int kAttempts = 3;

Error systemError(const std::string& what, int number) {
  return Error{what + ": " + std::generic_category().message(number)};
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

Result<Descriptor> openForReading(const std::string& path) {
  // O_NONBLOCK: a FIFO is refused by stampOf(), but opening it must not wait for a writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return systemError("cannot open " + path, errno);
  return Descriptor(fd);
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

Result<FileStamp> stampFrom(const struct stat& status) {
  if (!S_ISREG(status.st_mode)) return Error{"this is not a regular file"};
  FileStamp stamp;
  stamp.device = status.st_dev;
  stamp.inode = status.st_ino;
  stamp.size = static_cast<std::uint64_t>(status.st_size);
  stamp.mtimeNs = nanoseconds(status.st_mtim);
  stamp.ctimeNs = nanoseconds(status.st_ctim);
  return stamp;
}

// Hashes from the file's start, wherever the descriptor's own position is.
Result<ContentDigest> digestDescriptor(int fd) {
  SHA256_CTX context;
  SHA256_Init(&context);
  std::vector<std::byte> buffer(kReadSize);
  off_t position = 0;
  while (true) {
    const ssize_t count = pread(fd, buffer.data(), buffer.size(), position);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return systemError("cannot read the file", errno);
    if (count == 0) break;
    SHA256_Update(&context, buffer.data(), static_cast<std::size_t>(count));
    position += count;
  }

  ContentDigest digest;
  SHA256_Final(digest.bytes.data(), &context);
  return digest;
}

}  // namespace

std::int64_t systemClock() {
  // Not the coarse clock that file times are taken from: this one is never behind it.
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

bool hasSettled(const FileStamp& stamp, std::int64_t now) {
  // Times in the future, from another machine's clock, are no settled ones either.
  return std::max(stamp.mtimeNs, stamp.ctimeNs) < now - DigestCache::kSettlingTime.count();
}

std::string ContentDigest::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const std::uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<FileStamp> stampOf(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return systemError("cannot examine " + path, errno);
  Result<FileStamp> stamp = stampFrom(status);
  if (!stamp) return stamp.error().within(path);
  return stamp;
}

Result<FileStamp> stampOf(int fd) {
  struct stat status;
  if (fstat(fd, &status) != 0) return systemError("cannot examine the file", errno);
  return stampFrom(status);
}

FileStamp folderStampOf(const std::string& path) {
  struct stat status;
  if (stat(path.c_str(), &status) != 0 || !S_ISDIR(status.st_mode)) return {};
  FileStamp stamp;
  stamp.device = status.st_dev;
  stamp.inode = status.st_ino;
  stamp.size = static_cast<std::uint64_t>(status.st_size);
  stamp.mtimeNs = nanoseconds(status.st_mtim);
  stamp.ctimeNs = nanoseconds(status.st_ctim);
  return stamp;
}

Result<ContentDigest> digestFile(const std::string& path) {
  Result<Descriptor> file = openForReading(path);
  if (!file) return file.error();
  if (Result<FileStamp> stamp = stampOf(file->get()); !stamp) return stamp.error().within(path);
  Result<ContentDigest> digest = digestDescriptor(file->get());
  if (!digest) return digest.error().within(path);
  return digest;
}

DigestCache::DigestCache() : DigestCache(systemClock) {}

Result<ContentDigest> DigestCache::digestOf(const std::string& path) {
  Result<FileStamp> known = stampOf(path);
  if (!known) return known.error();
  if (const auto found = digests_.find(*known); found != digests_.end()) return found->second;

  Result<Descriptor> file = openForReading(path);
  if (!file) return file.error();
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // The order matters: clock, stamp, content, stamp. The digest is that of the stamp if the stamp
    // is the same after the reading.
    const std::int64_t now = clock_();
    Result<FileStamp> before = stampOf(file->get());
    if (!before) return before.error().within(path);
    Result<ContentDigest> digest = digestDescriptor(file->get());
    if (!digest) return digest.error().within(path);
    Result<FileStamp> after = stampOf(file->get());
    if (!after) return after.error().within(path);
    if (*before != *after) continue;

    if (hasSettled(*before, now)) {
      if (digests_.size() >= kMostEntries) digests_.clear();
      digests_.emplace(*before, *digest);
    }
    return digest;
  }
  return Error{path + ": the file kept changing while it was read"};
}

std::size_t DigestCache::StampHash::operator()(const FileStamp& stamp) const {
  // Inode and ctime tell almost all files apart; multiplying by an odd constant (2^64 divided by
  // the golden ratio) spreads them over the whole word.
  constexpr std::uint64_t kSpread = 0x9E3779B97F4A7C15;
  std::uint64_t hash = stamp.inode;
  for (const std::uint64_t part : {static_cast<std::uint64_t>(stamp.ctimeNs), stamp.size})
    hash = (hash ^ (hash >> 32)) * kSpread + part;
  return static_cast<std::size_t>(hash * kSpread);
}

}  // namespace splicehost::linker
