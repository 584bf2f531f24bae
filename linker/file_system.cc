#include "linker/file_system.h"

#include <fcntl.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <optional>
#include <tuple>

namespace splicehost::linker {
namespace {

// Of include/uapi/linux/stat.h, Linux 6.8. Debian 12's headers are older than the kernels that run it.
constexpr unsigned kUniqueMountId = 0x4000;
// Of Documentation/admin-guide/devices.txt.
constexpr unsigned kLoopMajor = 7;
// Overlays on overlays; the kernel allows two (FILESYSTEM_MAX_STACK_DEPTH).
constexpr int kMostLayers = 4;
// How long something is believed of a mount whose number may be given to another one.
constexpr std::chrono::seconds kReusedTrust{1};

// f_type, as in include/uapi/linux/magic.h and the file systems' sources.
constexpr uint64_t kOverlay = 0x794c7630;
constexpr uint64_t kLocal[] = {
    0xEF53,      // ext2, ext3, ext4
    0x58465342,  // XFS
    0x9123683E,  // btrfs
    0xF2F52010,  // F2FS
    0x2FC12FC1,  // ZFS
    0xCA451A4E,  // bcachefs
    0x01021994,  // tmpfs
    0x858458F6,  // ramfs, a root directory in an initramfs
};

// The words of a mountinfo line, or of its options.
std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(separator), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// Without mountinfo's escapes: a backslash and three octal digits.
std::string unescaped(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      result += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 + (text[i + 3] - '0'));
      i += 3;
    } else {
      result += text[i];
    }
  }
  return result;
}

void readOption(std::string_view option, MountLine& line) {
  if (option == "ro") line.isReadOnly = true;
  for (std::string_view name : {"lowerdir=", "lowerdir+=", "upperdir=", "datadir+="}) {
    if (!option.starts_with(name)) continue;
    for (std::string_view layer : split(option.substr(name.size()), ':')) {
      if (!layer.empty()) line.layers.push_back(unescaped(layer));
    }
  }
}

// The mount's number in mountinfo, which is another one than the unique one.
std::optional<uint64_t> tableId(int fd) {
  struct statx status;
  if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &status) != 0) return std::nullopt;
  return status.stx_mnt_id;
}

std::optional<MountLine> mountLineOf(int fd) {
  const std::optional<uint64_t> id = tableId(fd);
  std::ifstream file("/proc/self/mountinfo");
  if (!id || !file) return std::nullopt;
  const std::string table{std::istreambuf_iterator<char>(file), {}};
  Result<MountLine> line = findMount(table, *id);
  if (!line) return std::nullopt;
  return std::move(*line);
}

FileSystem fileSystemOf(int fd, const struct statx& status, int depth);

std::vector<FileSystem> layersOf(const MountLine& line, int depth) {
  std::vector<FileSystem> layers;
  for (const std::string& path : line.layers) {
    const int fd = path.starts_with('/') ? open(path.c_str(), O_PATH | O_CLOEXEC) : -1;
    struct statx status;
    if (fd >= 0 && examine(fd, "", status)) layers.push_back(fileSystemOf(fd, status, depth + 1));
    if (fd >= 0) close(fd);
  }
  return layers;
}

FileSystem fileSystemOf(int fd, const struct statx& status, int depth) {
  FileSystem system;
  system.isOnLoopDevice = status.stx_dev_major == kLoopMajor;
  system.hasUniqueMountId = (status.stx_mask & kUniqueMountId) != 0;
  struct statfs about;
  if (depth > kMostLayers || fstatfs(fd, &about) != 0) return system;
  system.type = static_cast<uint64_t>(about.f_type) & 0xFFFFFFFF;
  system.isReadOnly = (about.f_flags & ST_RDONLY) != 0;
  if (!system.isReadOnly && system.type != kOverlay) return system;
  const std::optional<MountLine> line = mountLineOf(fd);
  if (!line) return system;
  system.isReadOnly = line->isReadOnly;
  if (system.type == kOverlay) system.layers = layersOf(*line, depth);
  return system;
}

// What was found out of mounts. A process asks for few of them, again and again.
class KnownMounts {
 public:
  std::optional<bool> find(const struct statx& status) {
    std::lock_guard lock(mutex_);
    const auto known = known_.find(keyOf(status));
    if (known == known_.end()) return std::nullopt;
    const bool isUnique = (status.stx_mask & kUniqueMountId) != 0;
    if (!isUnique && known->second.since + kReusedTrust < Clock::now()) return std::nullopt;
    return known->second.proves;
  }

  void note(const struct statx& status, bool proves) {
    constexpr size_t kMost = 4096;
    std::lock_guard lock(mutex_);
    if (known_.size() >= kMost) known_.clear();
    known_[keyOf(status)] = {proves, Clock::now()};
  }

 private:
  using Clock = std::chrono::steady_clock;
  // The mount and the device: btrfs has devices for its subvolumes.
  using Key = std::tuple<uint64_t, unsigned, unsigned>;
  struct Known {
    bool proves;
    Clock::time_point since;
  };

  static Key keyOf(const struct statx& status) {
    return {status.stx_mnt_id, status.stx_dev_major, status.stx_dev_minor};
  }

  std::mutex mutex_;
  std::map<Key, Known> known_;
};

KnownMounts& knownMounts() {
  static KnownMounts mounts;
  return mounts;
}

}  // namespace

bool provesContent(const FileSystem& system) {
  if (system.isReadOnly || (system.isOnLoopDevice && !system.hasUniqueMountId)) return false;
  // What is below an overlay that can be seen; what cannot is the layers of a container's image, on the host's disk.
  if (system.type == kOverlay) return std::ranges::all_of(system.layers, provesContent);
  return std::ranges::find(kLocal, system.type) != std::end(kLocal);
}

Result<MountLine> findMount(std::string_view table, uint64_t id) {
  const std::string start = std::to_string(id) + " ";
  for (std::string_view text : split(table, '\n')) {
    if (!text.starts_with(start)) continue;
    // Optional fields end with a hyphen; then come the type, the source and the file system's own options.
    const size_t fields = text.find(" - ");
    if (fields == text.npos) break;
    const std::vector<std::string_view> words = split(text.substr(fields + 3), ' ');
    if (words.size() < 3) break;
    MountLine line;
    for (std::string_view option : split(words[2], ',')) readOption(option, line);
    return line;
  }
  return Error{"mount " + std::to_string(id) + " is not in the table of mounts"};
}

bool examine(int fd, const char* path, struct statx& status) {
  return statx(fd, path, *path == '\0' ? AT_EMPTY_PATH : 0, STATX_BASIC_STATS | STATX_MNT_ID | kUniqueMountId,
               &status) == 0;
}

uint64_t provingMount(int fd, const struct statx& status) {
  std::optional<bool> proves = knownMounts().find(status);
  if (!proves) {
    proves = provesContent(fileSystemOf(fd, status, 0));
    knownMounts().note(status, *proves);
  }
  return *proves ? status.stx_mnt_id : 0;
}

uint64_t provingMount(const std::string& path, struct statx& status) {
  if (const std::optional<bool> proves = knownMounts().find(status)) return *proves ? status.stx_mnt_id : 0;
  const int fd = open(path.c_str(), O_PATH | O_CLOEXEC);
  if (fd < 0) return 0;
  // Of one and the same file.
  const uint64_t mount = examine(fd, "", status) ? provingMount(fd, status) : 0;
  close(fd);
  return mount;
}

}  // namespace splicehost::linker
