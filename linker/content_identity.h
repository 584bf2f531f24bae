// Knowing a file by what is in it.
//
// Two builds put the same library at different paths, and one build puts a new library where the
// old one was; so a library is identified by the SHA-256 of its bytes. Hashing tens of megabytes
// before each compile would cost more than it saves, and therefore digests are remembered by a
// stamp, which one fstat() yields: device, inode, size and times. Whenever a file's content changes
// the kernel sets its ctime, which programs cannot set back.
//
// The stamp has one hole. Kernels take file times from a clock that ticks every few milliseconds,
// and some file systems store whole seconds, or two. A file that is hashed and then written again
// within the same tick keeps its stamp. (Git calls such an index entry "racily clean".) A stamp is
// therefore remembered only if its times had already passed by more than such a tick when the
// hashing began: any later change then gets a later time. A file that is younger is hashed again
// the next time.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>

#include "protocol/result.h"

namespace splicehost::linker {

// A SHA-256 digest.
struct ContentDigest {
  std::array<std::uint8_t, 32> bytes{};

  // In 64 lower-case hexadecimal digits.
  std::string hex() const;

  friend bool operator==(const ContentDigest&, const ContentDigest&) = default;
  friend auto operator<=>(const ContentDigest&, const ContentDigest&) = default;
};

// What the file system says about a file's content without its being read.
struct FileStamp {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  // Nanoseconds since 1970.
  std::int64_t mtimeNs = 0;
  std::int64_t ctimeNs = 0;

  friend bool operator==(const FileStamp&, const FileStamp&) = default;
};

// The stamp of a regular file; any other kind of file is an error. A symbolic link is followed.
Result<FileStamp> stampOf(const std::string& path);
Result<FileStamp> stampOf(int fd);

// The stamp of a folder, which changes when a name appears in it or goes; zeros if there is no such folder.
FileStamp folderStampOf(const std::string& path);

// Nanoseconds since 1970.
std::int64_t systemClock();

// Whether, from a time `now` on, no change of the file can leave it with this stamp.
bool hasSettled(const FileStamp& stamp, std::int64_t now);

// Reads a regular file and hashes it. It is read, not mapped, so that a file which is truncated
// meanwhile is an odd digest and not a SIGBUS.
Result<ContentDigest> digestFile(const std::string& path);

// The digests of files seen before. Owned by whoever asks for digests, and used by one thread.
class DigestCache {
 public:
  // Nanoseconds since 1970, as the system's clock has it.
  using Clock = std::function<std::int64_t()>;

  // How old both times of a stamp must be when hashing begins for the stamp to be remembered: the
  // coarsest time stamps in use are FAT's two seconds.
  static constexpr std::chrono::nanoseconds kSettlingTime = std::chrono::seconds(2);

  // The number of stamps kept. Beyond it the cache forgets all and begins anew, which costs time
  // and no correctness; no build has as many libraries.
  static constexpr std::size_t kMostEntries = 16384;

  DigestCache();
  explicit DigestCache(Clock clock) : clock_(std::move(clock)) {}

  // The digest of the file, from memory if its stamp is known, and otherwise by reading it. Fails
  // if the file cannot be read or does not hold still.
  Result<ContentDigest> digestOf(const std::string& path);

  std::size_t size() const { return digests_.size(); }

 private:
  struct StampHash {
    std::size_t operator()(const FileStamp& stamp) const;
  };

  Clock clock_;
  std::unordered_map<FileStamp, ContentDigest, StampHash> digests_;
};

}  // namespace splicehost::linker
