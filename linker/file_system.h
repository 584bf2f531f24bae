// What kind of file system a file is on: whether the file's times can be believed.
//
// Note [Signatures that are identities]. A file's size and times identify its content only if nobody but the kernel
// sets its ctime, at each change, from this machine's clock. That holds for the local file systems in the list of
// provesContent(), mounted read-write, and for overlays that are written to, on such. It does not hold for images that
// were made elsewhere and cannot be written to (squashfs, erofs, iso9660, or ext4 mounted read-only). Whoever makes
// them chooses all times, and reproducible builds choose the same ones. Nor does it hold where another machine or a
// program keeps the times (NFS, CIFS, 9p, FUSE, virtiofs), or where there is no ctime (FAT, exFAT). Files there have to
// be read to know what is in them. So do those on kinds that are not in the list.
//
// An image may be mounted read-write, too, with other files' inodes and times. So the mount is part of a signature: its
// number is never given twice from Linux 6.8 on (STATX_MNT_ID_UNIQUE in statx(2)). Before, numbers are given again, and
// loop devices, which are made for images, are not believed.
//
// Linux keeps a cookie that changes with the content (STATX_CHANGE_COOKIE), but does not tell it to programs (6.18).
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace splicehost::linker {

struct FileSystem {
  uint64_t type = 0;        // f_type of statfs(2)
  bool isReadOnly = false;  // itself; it may be mounted read-only in this place and be written to in another
  bool isOnLoopDevice = false;
  bool hasUniqueMountId = true;  // the kernel never gives the mount's number again
  // Of an overlay: what it is made of, as far as one sees it from here. (A container does not.)
  std::vector<FileSystem> layers = {};
};

// Whether a file's signature is an identity of its content there.
bool provesContent(const FileSystem& system);

// The line of a mount in /proc/self/mountinfo (proc_pid_mountinfo(5)).
struct MountLine {
  bool isReadOnly = false;               // the file system itself
  std::vector<std::string> layers = {};  // of an overlay: paths, as whoever mounted it has given them
};
// Nothing of it if the mount is not in the table: a process sees only what is below its root directory.
Result<MountLine> findMount(std::string_view table, uint64_t id);

// statx(2) of what makes up a signature, the mount's number included: of AT_FDCWD and a path, or of a descriptor and
// "". False and errno if it fails.
bool examine(int fd, const char* path, struct statx& status);

// The number of the mount that a file is on, if it is one on which provesContent(), and otherwise 0. `status` is that
// of the path, by examine(). What was found out of a mount is remembered.
uint64_t provingMount(const std::string& path, struct statx& status);
// The same for an open file, with any kind of descriptor.
uint64_t provingMount(int fd, const struct statx& status);

}  // namespace splicehost::linker
