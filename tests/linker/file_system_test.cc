#include "linker/file_system.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "test_inputs.h"

namespace splicehost::linker {
namespace {

constexpr uint64_t kExt4 = 0xEF53;
constexpr uint64_t kSquashfs = 0x73717368;
constexpr uint64_t kOverlay = 0x794c7630;

TEST(FileSystem, BelievesLocalOnesThatAreWrittenTo) {
  for (uint64_t type : {0xEF53u, 0x58465342u, 0x01021994u, 0x858458F6u}) {
    EXPECT_TRUE(provesContent({.type = type})) << std::hex << type;
    EXPECT_FALSE(provesContent({.type = type, .isReadOnly = true})) << std::hex << type;
  }
}

TEST(FileSystem, DoesNotBelieveOthers) {
  // squashfs, erofs, iso9660, NFS, CIFS, SMB 2, 9p, FUSE (virtiofs too), FAT, exFAT, and what nobody knows.
  for (uint64_t type : {0x73717368u, 0xE0F5E1E2u, 0x9660u, 0x6969u, 0xFF534D42u, 0xFE534D42u, 0x01021997u, 0x65735546u,
                        0x4d44u, 0x2011BAB0u, 0u}) {
    EXPECT_FALSE(provesContent({.type = type})) << std::hex << type;
  }
}

TEST(FileSystem, DoesNotBelieveALoopDeviceWhoseMountsCannotBeToldApart) {
  EXPECT_TRUE(provesContent({.type = kExt4, .isOnLoopDevice = true}));
  EXPECT_FALSE(provesContent({.type = kExt4, .isOnLoopDevice = true, .hasUniqueMountId = false}));
  EXPECT_TRUE(provesContent({.type = kExt4, .hasUniqueMountId = false}));
}

TEST(FileSystem, BelievesAnOverlayAsItsLayers) {
  EXPECT_TRUE(provesContent({.type = kOverlay}));
  EXPECT_TRUE(provesContent({.type = kOverlay, .layers = {{.type = kExt4}, {.type = kExt4}}}));
  EXPECT_FALSE(provesContent({.type = kOverlay, .layers = {{.type = kExt4}, {.type = kSquashfs}}}));
  EXPECT_FALSE(provesContent({.type = kOverlay, .layers = {{.type = kExt4, .isReadOnly = true}}}));
  EXPECT_FALSE(provesContent({.type = kOverlay, .layers = {{.type = kOverlay, .layers = {{.type = kSquashfs}}}}}));
  EXPECT_FALSE(provesContent({.type = kOverlay, .isReadOnly = true}));
}

constexpr std::string_view kTable =
    "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n"
    "41 27 254:0 /nix /nix ro,relatime shared:7 master:1 - ext4 /dev/vda rw,discard\n"
    "42 27 7:0 / /image rw - ext4 /dev/loop0 ro\n"
    "43 27 0:50 / /both rw - overlay o rw,lowerdir=/a\\040b:/c,upperdir=/u,workdir=/w,xino=off\n"
    "44 27 0:51 / /new rw - overlay o rw,lowerdir+=/a,lowerdir+=/c,datadir+=/d\n"
    "45 27 0:52 / /odd rw\n";

TEST(FileSystem, FindsAMount) {
  // A read-only bind mount of what is written to elsewhere.
  EXPECT_FALSE(findMount(kTable, 41)->isReadOnly);
  EXPECT_TRUE(findMount(kTable, 42)->isReadOnly);
  EXPECT_EQ(findMount(kTable, 43)->layers, (std::vector<std::string>{"/a b", "/c", "/u"}));
  EXPECT_EQ(findMount(kTable, 44)->layers, (std::vector<std::string>{"/a", "/c", "/d"}));
  for (uint64_t id : {4, 7, 45, 46}) EXPECT_FALSE(findMount(kTable, id).ok()) << id;
  EXPECT_FALSE(findMount("", 1).ok());
}

TEST(FileSystem, SaysTheSameOfAPathAndADescriptor) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.write("file", "abc");
  struct statx status;
  ASSERT_TRUE(examine(AT_FDCWD, path.c_str(), status));
  const uint64_t mount = provingMount(path, status);
  EXPECT_EQ(mount, status.stx_mnt_id);
  const int fd = open(path.c_str(), O_RDONLY);
  EXPECT_EQ(provingMount(fd, status), mount);
  close(fd);
  // /proc's files are not what they were.
  ASSERT_TRUE(examine(AT_FDCWD, "/proc/self/status", status));
  EXPECT_EQ(provingMount("/proc/self/status", status), 0u);
  EXPECT_FALSE(examine(AT_FDCWD, directory.file("missing").c_str(), status));
}

}  // namespace
}  // namespace splicehost::linker
