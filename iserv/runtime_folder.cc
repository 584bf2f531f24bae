#include "iserv/runtime_folder.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
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

namespace splicehost {

namespace {

constexpr std::string_view kNameStart = "iservd-";
constexpr size_t kDigits = 16;
constexpr std::string_view kNameEnd = ".socket";

constexpr size_t kNameLength = kNameStart.size() + kDigits + kNameEnd.size();
// A socket's path has to fit into its address, with a slash and a terminator.
constexpr size_t kMaxFolder = sizeof(sockaddr_un::sun_path) - 2 - kNameLength;

Error systemError(const std::string& what) { return Error{what + ": " + std::strerror(errno)}; }

// Whether a folder is this user's, with none of the permissions in `forbidden`.
Status checkOwn(const std::string& path, mode_t forbidden) {
  struct stat status;
  if (lstat(path.c_str(), &status) != 0) return systemError(path);
  if (S_ISLNK(status.st_mode)) return Error{path + " is a symbolic link; remove it"};
  if (!S_ISDIR(status.st_mode)) return Error{path + " is not a folder; remove it"};
  if (status.st_uid != geteuid()) {
    return Error{path + " belongs to user " + std::to_string(status.st_uid) + ", not to " +
                 std::to_string(geteuid()) + "; set XDG_RUNTIME_DIR to a folder of your own"};
  }
  if ((status.st_mode & forbidden) != 0) {
    return Error{path + " is open to other users; run: chmod go-rwx " + path};
  }
  return Done{};
}

// The folder in which ours is to be: where, and under which name.
Result<std::string> chooseFolder() {
  const char* variable = getenv("XDG_RUNTIME_DIR");
  std::string parent = variable == nullptr ? "" : variable;
  // With a slash at its end, the name of a symbolic link would mean what it points to.
  while (parent.size() > 1 && parent.ends_with('/')) parent.pop_back();
  struct stat status;
  // The XDG Base Directory Specification has a relative path ignored.
  bool absent = !parent.starts_with('/') || (lstat(parent.c_str(), &status) != 0 && errno == ENOENT);
  if (absent) return "/tmp/splicehost-" + std::to_string(geteuid());
  Status own = checkOwn(parent, S_IWGRP | S_IWOTH);
  if (!own) return own.error().within("XDG_RUNTIME_DIR");
  return parent + "/splicehost";
}

// A 64-bit FNV-1a hash. Nobody gains by a collision: whoever could make a socket of a given name is the
// same user.
class Digest {
 public:
  void add(std::string_view bytes) {
    for (char byte : bytes) value_ = (value_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  }
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
    auto end = std::to_chars(digits.data(), digits.data() + kDigits, value_, 16).ptr;
    std::string text(digits.data(), end);
    return std::string(kDigits - text.size(), '0') + text;
  }

 private:
  uint64_t value_ = 0xcbf29ce484222325;
};

Status addWorld(Digest& digest) {
  // A session is its broker's child: it has the broker's view of files, processes, network and host.
  for (const char* file : {"/proc/self/ns/mnt", "/proc/self/ns/pid", "/proc/self/ns/user",
                           "/proc/self/ns/net", "/proc/self/ns/ipc", "/proc/self/ns/uts", "/"}) {
    struct stat status;
    if (stat(file, &status) != 0) return systemError(file);
    digest.addIdentity(status);
  }
  return Done{};
}

Status addPermissions(Digest& digest) {
  for (uint64_t id : {getuid(), geteuid(), getgid(), getegid()}) digest.add(id);
  int count = getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<size_t>(count));
  if (count > 0) count = getgroups(count, groups.data());
  if (count < 0) return systemError("getgroups");
  for (gid_t group : groups) digest.add(uint64_t{group});
  digest.add(static_cast<uint64_t>(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)));
  digest.add(static_cast<uint64_t>(prctl(PR_GET_SECCOMP, 0, 0, 0, 0)));
  return Done{};
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

Result<std::string> runtimeFolder() {
  Result<std::string> folder = chooseFolder();
  if (!folder) return folder;
  if (folder->size() > kMaxFolder) {
    return Error{*folder + " is too long a path for a socket; set XDG_RUNTIME_DIR to a shorter one"};
  }
  struct stat status;
  if (lstat(folder->c_str(), &status) != 0) {
    // Somebody else may make it at the same time.
    if (mkdir(folder->c_str(), S_IRWXU) != 0 && errno != EEXIST) {
      return systemError(*folder + " cannot be made");
    }
  }
  if (Status own = checkOwn(*folder, S_IRWXG | S_IRWXO); !own) return own.error();
  return folder;
}

Result<std::string> brokerSocketName(const std::string& brokerProgram) {
  Digest digest;
  if (Status added = addWorld(digest); !added) return added.error();
  if (Status added = addPermissions(digest); !added) return added.error();
  if (Status added = addProgram(digest, brokerProgram); !added) return added.error();
  return std::string(kNameStart) + digest.hexadecimal() + std::string(kNameEnd);
}

}  // namespace splicehost
