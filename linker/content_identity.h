// Knowing a file by what is in it.
//
// Two builds put the same library at different paths, and one build puts a new library where the old one was. So a
// library is identified by the SHA-256 of its bytes. Hashing tens of megabytes before each compile would cost more than
// it saves. So digests are remembered by a signature, which one statx() yields: mount, device, inode, size and times.
// Whenever a file's content changes the kernel sets its ctime, which programs cannot set back. Which file systems this
// is true of is in linker/file_system.h; on all others a file is hashed every time.
//
// The signature has two holes more. Kernels take file times from a clock that ticks every few milliseconds, and some
// file systems store whole seconds. A file that is hashed and then written again within the same tick keeps its
// signature. (Git calls such an index entry "racily clean".) So a signature is remembered only if its ctime was older
// than such a tick when the hashing began: any later change then gets a later time. A file that is younger is hashed
// again the next time, and so is one whose ctime is in the future. The mtime is the programs' to set, and does not
// count.
//
// And whoever has mapped a file to write to it sets its times when he first writes to a page. He sets them again only
// after the kernel has written that page to the disk, which on tmpfs is never. So the signature of a file that is open
// for writing is not remembered either. Only a file's owner can see that (isWrittenTo()); the files of others are
// believed.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "protocol/result.h"

namespace splicehost::linker {

// A SHA-256 digest.
struct ContentDigest {
  std::array<uint8_t, 32> bytes{};

  // In 64 lower-case hexadecimal digits.
  std::string hex() const;

  friend bool operator==(const ContentDigest&, const ContentDigest&) = default;
  friend auto operator<=>(const ContentDigest&, const ContentDigest&) = default;
};

// What the file system says about a file's content without its being read.
struct FileSignature {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  // Nanoseconds since 1970.
  int64_t mtimeNs = 0;
  int64_t ctimeNs = 0;
  // The number of the mount that the file is on (linker/file_system.h); 0 if the file system is one whose
  // signatures prove nothing.
  uint64_t mount = 0;

  friend bool operator==(const FileSignature&, const FileSignature&) = default;
};

// The signature of a regular file; any other kind of file is an error. A symbolic link is followed.
Result<FileSignature> signatureOf(const std::string& path);
Result<FileSignature> signatureOf(int fd);

// The signature of whatever is at a path, zeros if nothing is. A directory's changes when a name appears in it or goes.
FileSignature signatureOfAny(const std::string& path);

// The path by which the kernel knows what is at a path, as in /proc/self/maps; empty if nothing is.
std::string kernelPathOf(const std::string& path);

// Nanoseconds since 1970.
int64_t systemClock();

// Whether, from a time `now` on, no change of the file can leave it with this signature, if nobody had it open for
// writing at that time.
bool hasSettled(const FileSignature& signature, int64_t now);

// Whether somebody has the file open for writing, as far as this user may know. `fd` must be open for reading.
bool isWrittenTo(int fd);

// Nanoseconds since 1970, as the system's clock has it.
using Clock = std::function<int64_t()>;

// What is in a file.
struct FileContent {
  ContentDigest digest;
  FileSignature signature;
  bool settled = false;  // whether the signature stands for the content for ever
};

// A regular file, held open: whatever becomes of its path, all that is learnt of it is of one and the same file.
class OpenFile {
 public:
  static Result<OpenFile> open(const std::string& path);
  // Takes over an fd that is open for reading. `path` is for messages.
  OpenFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  OpenFile(OpenFile&& other) noexcept : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)) {}
  OpenFile& operator=(OpenFile&&) = delete;
  ~OpenFile();

  int fd() const { return fd_; }
  Result<FileSignature> signature() const;
  // Hashes it. It is read, not mapped, so that a file which is truncated meanwhile is an odd digest and not a
  // SIGBUS. Fails if it cannot be read or does not hold still.
  Result<FileContent> content(const Clock& clock = systemClock) const;

 private:
  int fd_;
  std::string path_;
};

// The digest of a regular file as it is now.
Result<ContentDigest> digestFile(const std::string& path);

// The digests of files seen before. Threads may use it at the same time.
class DigestCache {
 public:
  // How old a signature's ctime must be when hashing begins for the signature to be remembered. The coarsest times that
  // are believed are the whole seconds of ext2.
  static constexpr std::chrono::nanoseconds kSettlingTime = std::chrono::seconds(2);

  // The number of signatures kept. Beyond it the cache forgets all and begins anew, which costs only time. No build has
  // as many libraries.
  static constexpr size_t kMostEntries = 32768;

  DigestCache();
  explicit DigestCache(Clock clock) : clock_(std::move(clock)) {}

  // What a file with this signature contains, if that is known.
  std::optional<ContentDigest> find(const FileSignature& signature) const;

  // A file with this signature, which stands for its content for ever, is known to contain this.
  void note(const FileSignature& signature, const ContentDigest& digest);

  // What is in the file, from memory if its signature is known, and otherwise by reading it. Fails
  // if the file cannot be read or does not hold still.
  Result<FileContent> contentOf(const std::string& path);

  size_t size() const;

  // What has become known since the last call, in any order: for who keeps it elsewhere.
  std::vector<std::pair<FileSignature, ContentDigest>> takeNew();

 private:
  struct Entry {
    ContentDigest digest;
    bool isNew;
  };
  struct SignatureHash {
    size_t operator()(const FileSignature& signature) const;
  };

  Clock clock_;
  mutable std::mutex mutex_;  // not held while a file is read
  std::unordered_map<FileSignature, Entry, SignatureHash> entries_;
};

}  // namespace splicehost::linker
