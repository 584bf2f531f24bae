#include "linker/content_identity.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <thread>
#include <vector>

#include "test_inputs.h"

namespace splicehost::linker {
namespace {

// Of the empty text and of "abc": the examples of FIPS 180.
constexpr char kEmptyDigest[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
constexpr char kAbcDigest[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

constexpr int64_t kSecond = 1'000'000'000;

// Changes a file's bytes and gives it the same size and mtime as before: what a second write within
// a clock tick looks like, if the ctime stays the same as well.
void overwrite(const std::string& path, const std::string& content) {
  struct stat before;
  ASSERT_EQ(stat(path.c_str(), &before), 0);
  const int fd = open(path.c_str(), O_WRONLY);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(pwrite(fd, content.data(), content.size(), 0), ssize_t(content.size()));
  const timespec times[] = {before.st_atim, before.st_mtim};
  ASSERT_EQ(futimens(fd, times), 0);
  close(fd);
}

TEST(ContentIdentity, HashesContent) {
  const test::TemporaryDirectory directory;
  EXPECT_EQ(digestFile(directory.write("empty", ""))->hex(), kEmptyDigest);
  EXPECT_EQ(digestFile(directory.write("abc", "abc"))->hex(), kAbcDigest);
  // Longer than what is read at once.
  const std::string large(1'000'000, 'a');
  EXPECT_EQ(digestFile(directory.write("large", large))->hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(ContentIdentity, RefusesWhatIsNoRegularFile) {
  const test::TemporaryDirectory directory;
  ASSERT_EQ(mkfifo(directory.file("fifo").c_str(), 0600), 0);
  EXPECT_EQ(digestFile(directory.file("fifo")).error().message,
            directory.file("fifo") + ": this is not a regular file");
  EXPECT_FALSE(digestFile(directory.path()).ok());
  EXPECT_EQ(signatureOf(directory.file("missing")).error().message,
            "cannot examine " + directory.file("missing") + ": No such file or directory");
  EXPECT_FALSE(DigestCache().contentOf(directory.file("fifo")).ok());
}

TEST(ContentIdentity, SignaturesByPathAndByDescriptorAgree) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.write("file", "abc");
  const int fd = open(path.c_str(), O_RDONLY);
  Result<FileSignature> byPath = signatureOf(path);
  Result<FileSignature> byDescriptor = signatureOf(fd);
  close(fd);
  ASSERT_TRUE(byPath.ok() && byDescriptor.ok());
  EXPECT_EQ(*byPath, *byDescriptor);
  EXPECT_EQ(byPath->size, 3u);
  EXPECT_NE(*byPath, *signatureOf(directory.write("other", "abc")));
}

class DigestCacheTest : public testing::Test {
 protected:
  // The cache's clock, this long after the file's last change.
  void setAge(const std::string& path, int64_t nanoseconds) {
    const Result<FileSignature> signature = signatureOf(path);
    now_ = signature->ctimeNs + nanoseconds;
  }

  test::TemporaryDirectory directory_;
  int64_t now_ = 0;
  int hashings_ = 0;  // the cache looks at the clock when it hashes
  DigestCache cache_{[this] {
    ++hashings_;
    return now_;
  }};
};

TEST_F(DigestCacheTest, RemembersASettledFile) {
  const std::string path = directory_.write("file", "abc");
  setAge(path, 3 * kSecond);
  EXPECT_EQ(cache_.contentOf(path)->digest.hex(), kAbcDigest);
  EXPECT_EQ(cache_.size(), 1u);
  EXPECT_EQ(cache_.contentOf(path)->digest.hex(), kAbcDigest);
  // Another name of the same file. (A hard link would be a change of the ctime.)
  directory_.run("ln -s file soft-link");
  EXPECT_EQ(cache_.contentOf(directory_.file("soft-link"))->digest.hex(), kAbcDigest);
  EXPECT_EQ(hashings_, 1);
}

TEST_F(DigestCacheTest, SeesAChangedFile) {
  const std::string path = directory_.write("file", "abd");
  setAge(path, 3 * kSecond);
  EXPECT_NE(cache_.contentOf(path)->digest.hex(), kAbcDigest);
  usleep(20'000);  // the kernel's clock for file times ticks every 1 to 10 ms
  overwrite(path, "abc");
  EXPECT_EQ(cache_.contentOf(path)->digest.hex(), kAbcDigest);
}

TEST_F(DigestCacheTest, DoesNotTrustAYoungSignature) {
  const std::string path = directory_.write("file", "abc");
  for (const int64_t age : {-10 * kSecond, int64_t{0}, kSecond, 2 * kSecond}) {
    setAge(path, age);
    EXPECT_EQ(cache_.contentOf(path)->digest.hex(), kAbcDigest);
    EXPECT_EQ(cache_.size(), 0u) << age;
  }
  setAge(path, 2 * kSecond + 1);
  EXPECT_TRUE(cache_.contentOf(path).ok());
  EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(DigestCacheTest, AFileWrittenTwiceInATickIsReadTwice) {
  // Whether or not the two signatures are the same here, the second digest is of the second content.
  const std::string path = directory_.write("file", "abd");
  setAge(path, 0);
  const std::string first = cache_.contentOf(path)->digest.hex();
  overwrite(path, "abc");
  EXPECT_EQ(cache_.contentOf(path)->digest.hex(), kAbcDigest);
  EXPECT_NE(first, kAbcDigest);
}

TEST_F(DigestCacheTest, AnOldMtimeDoesNotHideAYoungCtime) {
  const std::string path = directory_.write("file", "abc");
  directory_.run("touch -d 2001-01-01 file");
  setAge(path, kSecond);
  EXPECT_TRUE(cache_.contentOf(path).ok());
  EXPECT_EQ(cache_.size(), 0u);
}

TEST_F(DigestCacheTest, AnMtimeInTheFutureHidesNothing) {
  // The kernel's own time of the last change is what counts.
  const std::string path = directory_.write("file", "abc");
  directory_.run("touch -d '+ 10 years' file");
  setAge(path, 3 * kSecond);
  EXPECT_EQ(cache_.contentOf(path)->digest.hex(), kAbcDigest);
  EXPECT_EQ(cache_.size(), 1u);
}

TEST_F(DigestCacheTest, AFileThatIsMappedForWritingIsReadAgain) {
  const std::string path = directory_.write("file", "abd");
  const int fd = open(path.c_str(), O_RDWR);
  char* bytes = static_cast<char*>(mmap(nullptr, 3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
  close(fd);
  ASSERT_NE(bytes, MAP_FAILED);
  bytes[2] = 'x';  // sets the times, once
  setAge(path, 3 * kSecond);
  EXPECT_NE(cache_.contentOf(path)->digest.hex(), kAbcDigest);
  EXPECT_EQ(cache_.size(), 0u);
  usleep(20'000);
  bytes[2] = 'c';
  EXPECT_EQ(cache_.contentOf(path)->digest.hex(), kAbcDigest);
  munmap(bytes, 3);
  setAge(path, 3 * kSecond);
  EXPECT_TRUE(cache_.contentOf(path)->settled);
}

TEST(ContentIdentity, LooksForWritersWithoutHarm) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.write("file", "abc");
  const OpenFile file = *OpenFile::open(path);
  EXPECT_FALSE(isWrittenTo(file.fd()));
  const int writer = open(path.c_str(), O_WRONLY);
  EXPECT_TRUE(isWrittenTo(file.fd()));
  close(writer);
  EXPECT_FALSE(isWrittenTo(file.fd()));
  // A writer that comes meanwhile is held up for no longer than the look takes, and nobody dies of it.
  const pid_t other = fork();
  if (other == 0) {
    for (;;) close(open(path.c_str(), O_WRONLY));
  }
  for (int i = 0; i < 3000; ++i) (void)isWrittenTo(file.fd());
  kill(other, SIGKILL);
}

TEST(ContentIdentity, AnOpenFileStaysTheSameOne) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.write("file", "abc");
  const OpenFile file = *OpenFile::open(path);
  directory.run("mv file old && echo other > file");
  EXPECT_EQ(file.content()->digest.hex(), kAbcDigest);
  EXPECT_NE(file.content()->signature, *signatureOf(path));
}

TEST(ContentIdentity, ASignatureThatProvesNothingNeverSettles) {
  const FileSignature signature{1, 2, 3, 4, 5, 0};
  EXPECT_FALSE(hasSettled(signature, systemClock()));
}

TEST(DigestCache, SaysWhatIsNewOnce) {
  DigestCache cache;
  const FileSignature signature{1, 2, 3, 4, 5, 6};
  cache.note(signature, ContentDigest{{1}});
  EXPECT_EQ(cache.takeNew().size(), 1u);
  EXPECT_TRUE(cache.takeNew().empty());
  cache.note(signature, ContentDigest{{2}});
  ASSERT_EQ(cache.takeNew().size(), 1u);
  EXPECT_EQ(cache.find(signature), ContentDigest{{2}});
}

TEST(DigestCache, ServesManyThreadsAtOnce) {
  const test::TemporaryDirectory directory;
  std::vector<std::string> files;
  for (int i = 0; i < 8; ++i) files.push_back(directory.write("file" + std::to_string(i), std::string(i + 1, 'x')));
  // All are old enough to be remembered.
  DigestCache cache([] { return systemClock() + 60 * kSecond; });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        for (const std::string& file : files) EXPECT_EQ(cache.contentOf(file)->digest, *digestFile(file));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(cache.size(), files.size());
}

TEST(DigestCache, UsesTheSystemsClock) {
  const test::TemporaryDirectory directory;
  DigestCache cache;
  EXPECT_EQ(cache.contentOf(directory.write("file", "abc"))->digest.hex(), kAbcDigest);
  EXPECT_EQ(cache.size(), 0u);  // just written
}

}  // namespace
}  // namespace splicehost::linker
