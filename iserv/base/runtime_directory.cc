#include "iserv/base/runtime_directory.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

#include "iserv/base/process_identity.h"
#include "protocol/hash.h"
#include "protocol/system.h"

namespace splicehost {

namespace {

constexpr std::string_view kNameStart = "iservd-";
constexpr size_t kDigits = 16;
constexpr std::string_view kNameEnd = ".socket";

constexpr size_t kNameLength = kNameStart.size() + kDigits + kNameEnd.size();
// A socket's path has to fit into its address, with a slash and a terminator.
constexpr size_t kMaxDirectory = sizeof(sockaddr_un::sun_path) - 2 - kNameLength;

// Whether a directory is this user's, with none of the permissions in `forbidden`.
Status checkOwn(const std::string& path, mode_t forbidden) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return systemError(path);
  if (S_ISLNK(status.st_mode)) return Error{path + " is a symbolic link; remove it"};
  if (!S_ISDIR(status.st_mode)) return Error{path + " is not a directory; remove it"};
  if (status.st_uid != geteuid()) {
    return Error{path + " belongs to user " + std::to_string(status.st_uid) + ", not to " + std::to_string(geteuid()) +
                 "; set XDG_RUNTIME_DIR to a directory of your own"};
  }
  if ((status.st_mode & forbidden) != 0) {
    return Error{path + " is open to other users; run: chmod go-rwx " + path};
  }
  return Done{};
}

// Of what names a socket. Whoever could make one of a given name is the same user.
class Digest {
 public:
  void add(std::string_view bytes) { hash_.add(bytes); }
  void add(uint64_t number) { add({reinterpret_cast<const char*>(&number), sizeof number}); }
  void add(const timespec& time) {
    add(static_cast<uint64_t>(time.tv_sec));
    add(static_cast<uint64_t>(time.tv_nsec));
  }
  // Device and inode.
  void addIdentity(const struct stat& status) {
    add(status.st_dev);
    add(status.st_ino);
  }

  std::string hexadecimal() const {
    std::array<char, kDigits> digits;
    auto end = std::to_chars(digits.data(), digits.data() + kDigits, hash_.value(), 16).ptr;
    std::string text(digits.data(), end);
    return std::string(kDigits - text.size(), '0') + text;
  }

 private:
  Hash hash_;
};

std::string variable(const char* name) {
  const char* value = getenv(name);
  std::string path = value == nullptr ? "" : value;
  // With a slash at its end, the name of a symbolic link would mean what it points to.
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  // The XDG Base Directory Specification has a relative path ignored.
  return path.starts_with('/') ? path : "";
}

// Ours in $XDG_RUNTIME_DIR; nothing if there is no such directory.
Result<std::string> preferredDirectory() {
  std::string parent = variable("XDG_RUNTIME_DIR");
  struct stat status;
  if (parent.empty() || (lstat(parent.c_str(), &status) != 0 && errno == ENOENT)) return std::string();
  Status own = checkOwn(parent, S_IWGRP | S_IWOTH);
  if (!own) return own.error().within("XDG_RUNTIME_DIR");
  return parent + "/splicehost";
}

// The directories in which ours can be otherwise.
std::vector<std::string> otherParents() {
  std::vector<std::string> parents = {"/tmp"};
  if (std::string directory = variable("TMPDIR"); !directory.empty()) parents.push_back(directory);
  std::string cache = variable("XDG_CACHE_HOME");
  if (std::string home = variable("HOME"); cache.empty() && !home.empty()) cache = home + "/.cache";
  if (!cache.empty()) {
    (void)mkdir(cache.c_str(), S_IRWXU);
    parents.push_back(cache);
  }
  return parents;
}

// Whoever can rename what is in a directory can put another one in our directory's place.
bool othersCanRename(const std::string& parent) {
  struct stat status;
  return stat(parent.c_str(), &status) == 0 && (status.st_mode & S_ISVTX) == 0 &&
         (status.st_mode & (S_IWGRP | S_IWOTH)) != 0;
}

// Why this directory cannot be used, though nobody else has to do with that: it is for another one to be tried. Empty
// if it can be. Fails if it is not safe.
Result<std::string> obstacle(const std::string& directory) {
  if (directory.size() > kMaxDirectory) return directory + " is too long a path for a socket";
  struct stat status;
  // Somebody else may make it at the same time.
  if (lstat(directory.c_str(), &status) != 0 && mkdir(directory.c_str(), S_IRWXU) != 0 && errno != EEXIST) {
    return systemError(directory + " cannot be made").message;
  }
  if (Status own = checkOwn(directory, S_IRWXG | S_IRWXO); !own) return own.error();
  if (access(directory.c_str(), W_OK | X_OK) != 0) return systemError(directory + " cannot be written to").message;
  return std::string();
}

// Callers name the program by different paths: from beside an interpreter, or from beside iservctl.
Status addProgram(Digest& digest, const std::string& program) {
  std::unique_ptr<char, decltype(&free)> path(realpath(program.c_str(), nullptr), &free);
  struct stat status;
  if (path == nullptr || stat(path.get(), &status) != 0) return systemError(program);
  digest.add(path.get());
  digest.addIdentity(status);
  digest.add(static_cast<uint64_t>(status.st_size));
  digest.add(status.st_mtim);
  digest.add(status.st_ctim);
  return Done{};
}

}  // namespace

Result<std::string> runtimeDirectory() {
  Result<std::string> preferred = preferredDirectory();
  if (!preferred) return preferred;
  std::string name = "splicehost-" + std::to_string(geteuid());
  std::vector<std::string> directories;
  if (preferred->size() > kMaxDirectory) {
    // Whoever names another directory wants another broker.
    Digest digest;
    digest.add(*preferred);
    name += "-" + digest.hexadecimal();
  } else if (!preferred->empty()) {
    directories.push_back(*preferred);
  }
  for (const std::string& parent : otherParents()) {
    if (!othersCanRename(parent)) directories.push_back(parent + "/" + name);
  }
  std::string reasons;
  for (const std::string& directory : directories) {
    Result<std::string> reason = obstacle(directory);
    if (!reason) return reason;
    if (reason->empty()) return directory;
    reasons += (reasons.empty() ? "" : "; ") + *reason;
  }
  return Error{reasons + "; set XDG_RUNTIME_DIR to a directory of your own"};
}

Result<std::string> brokerSocketName(const std::string& brokerProgram) {
  Digest digest;
  // A session is its broker's child.
  Result<std::string> identity = processIdentity();
  if (!identity) return identity.error();
  digest.add(*identity);
  if (Status added = addProgram(digest, brokerProgram); !added) return added.error();
  return std::string(kNameStart) + digest.hexadecimal() + std::string(kNameEnd);
}

}  // namespace splicehost
