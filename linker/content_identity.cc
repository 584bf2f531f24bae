#include "linker/content_identity.h"

// The functions for SHA-256 alone. Interpreters are linked with OpenSSL statically. What OpenSSL 3 prefers (EVP) would
// bring all that it can do into them, and from Debian 13 on zlib and zstd as well.
#define OPENSSL_SUPPRESS_DEPRECATED

#include <fcntl.h>
#include <openssl/sha.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>
#include <vector>

#include "linker/file_system.h"
#include "protocol/system.h"

namespace splicehost::linker {
namespace {

// Large enough that system calls do not count beside the hashing, small enough to stay in a
// processor's second-level cache.
constexpr size_t kReadSize = size_t{256} * 1024;

// How often a file may change while it is hashed before the cache gives up on it.
constexpr int kAttempts = 3;

// Of a timespec, or of statx()'s form of one.
int64_t nanoseconds(const auto& time) { return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec; }

FileSignature signatureFrom(const struct statx& status, uint64_t mount) {
  FileSignature signature;
  signature.device = makedev(status.stx_dev_major, status.stx_dev_minor);
  signature.inode = status.stx_ino;
  signature.size = status.stx_size;
  signature.mtimeNs = nanoseconds(status.stx_mtime);
  signature.ctimeNs = nanoseconds(status.stx_ctime);
  signature.mount = mount;
  return signature;
}

const Error kNotRegular{"this is not a regular file"};

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
    SHA256_Update(&context, buffer.data(), static_cast<size_t>(count));
    position += count;
  }

  ContentDigest digest;
  SHA256_Final(digest.bytes.data(), &context);
  return digest;
}

}  // namespace

int64_t systemClock() {
  // Not the coarse clock that file times are taken from: this one is never behind it.
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return nanoseconds(now);
}

bool hasSettled(const FileSignature& signature, int64_t now) {
  // A time in the future, from when the clock was wrong, is no settled one either.
  // That there is no file is no matter of times.
  return signature == FileSignature{} ||
         (signature.mount != 0 && signature.ctimeNs < now - DigestCache::kSettlingTime.count());
}

std::string ContentDigest::hex() const {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  text.reserve(bytes.size() * 2);
  for (const uint8_t byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

Result<FileSignature> signatureOf(const std::string& path) {
  struct statx status;
  if (!examine(AT_FDCWD, path.c_str(), status)) return systemError("cannot examine " + path, errno);
  const uint64_t mount = provingMount(path, status);
  if (!S_ISREG(status.stx_mode)) return kNotRegular.within(path);
  return signatureFrom(status, mount);
}

Result<FileSignature> signatureOf(int fd) {
  struct statx status;
  if (!examine(fd, "", status)) return systemError("cannot examine the file", errno);
  if (!S_ISREG(status.stx_mode)) return kNotRegular;
  return signatureFrom(status, provingMount(fd, status));
}

FileSignature signatureOfAny(const std::string& path) {
  struct statx status;
  if (!examine(AT_FDCWD, path.c_str(), status)) return {};
  const uint64_t mount = provingMount(path, status);
  return signatureFrom(status, mount);
}

std::string kernelPathOf(const std::string& path) {
  const int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
  std::array<char, 4096> target;
  const ssize_t size = readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target.data(), target.size());
  if (fd >= 0) close(fd);
  return std::string(target.data(), size < 0 ? 0 : static_cast<size_t>(size));
}

bool isWrittenTo(int fd) {
  // A lease to read is given if nobody can write (fcntl(2)). Who opens the file while there is one waits until it is
  // given back, and we get a signal. It must not be SIGIO, which ends a process.
  if (fcntl(fd, F_SETSIG, SIGURG) != 0) return false;
  const bool isLeased = fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
  if (!isLeased) return errno == EAGAIN;
  fcntl(fd, F_SETLEASE, F_UNLCK);
  return false;
}

Result<OpenFile> OpenFile::open(const std::string& path) {
  // O_NONBLOCK: a FIFO is refused by signatureOf(), but opening it must not wait for a writer.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return systemError("cannot open " + path, errno);
  OpenFile file(fd, path);
  if (Result<FileSignature> signature = file.signature(); !signature) return signature.error();
  return file;
}

OpenFile::~OpenFile() {
  if (fd_ >= 0) close(fd_);
}

Result<FileSignature> OpenFile::signature() const {
  Result<FileSignature> signature = signatureOf(fd_);
  if (!signature) return signature.error().within(path_);
  return signature;
}

Result<FileContent> OpenFile::content(const Clock& clock) const {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    // The order matters: clock, signature, writers, content, signature. The digest is that of the signature if the
    // signature is the same after the reading.
    const int64_t now = clock();
    Result<FileSignature> before = signature();
    if (!before) return before.error();
    const bool settled = hasSettled(*before, now) && !isWrittenTo(fd_);
    Result<ContentDigest> digest = digestDescriptor(fd_);
    if (!digest) return digest.error().within(path_);
    Result<FileSignature> after = signature();
    if (!after) return after.error();
    if (*before == *after) return FileContent{*digest, *after, settled};
  }
  return Error{path_ + ": the file kept changing while it was read"};
}

Result<ContentDigest> digestFile(const std::string& path) {
  Result<OpenFile> file = OpenFile::open(path);
  if (!file) return file.error();
  Result<ContentDigest> digest = digestDescriptor(file->fd());
  if (!digest) return digest.error().within(path);
  return digest;
}

DigestCache::DigestCache() : DigestCache(systemClock) {}

std::optional<ContentDigest> DigestCache::find(const FileSignature& signature) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(signature);
  if (found == entries_.end()) return std::nullopt;
  return found->second.digest;
}

void DigestCache::note(const FileSignature& signature, const ContentDigest& digest) {
  const std::lock_guard lock(mutex_);
  if (entries_.size() >= kMostEntries) entries_.clear();
  entries_.insert_or_assign(signature, Entry{digest, true});
}

size_t DigestCache::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

std::vector<std::pair<FileSignature, ContentDigest>> DigestCache::takeNew() {
  const std::lock_guard lock(mutex_);
  std::vector<std::pair<FileSignature, ContentDigest>> found;
  for (auto& [signature, entry] : entries_) {
    if (std::exchange(entry.isNew, false)) found.emplace_back(signature, entry.digest);
  }
  return found;
}

Result<FileContent> DigestCache::contentOf(const std::string& path) {
  const Result<FileSignature> signature = signatureOf(path);
  if (!signature) return signature.error();
  if (const auto known = find(*signature)) return FileContent{*known, *signature, true};
  Result<OpenFile> file = OpenFile::open(path);
  if (!file) return file.error();
  Result<FileContent> content = file->content(clock_);
  if (content && content->settled) note(content->signature, content->digest);
  return content;
}

size_t DigestCache::SignatureHash::operator()(const FileSignature& signature) const {
  // Inode and ctime tell almost all files apart; multiplying by an odd constant (2^64 divided by
  // the golden ratio) spreads them over the whole word.
  constexpr uint64_t kSpread = 0x9E3779B97F4A7C15;
  uint64_t hash = signature.inode;
  for (const uint64_t part : {static_cast<uint64_t>(signature.ctimeNs), signature.size}) {
    hash = (hash ^ (hash >> 32)) * kSpread + part;
  }
  return static_cast<size_t>(hash * kSpread);
}

}  // namespace splicehost::linker
