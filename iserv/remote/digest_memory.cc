#include "iserv/remote/digest_memory.h"

#include <fcntl.h>
#include <kj/io.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <vector>

#include "protocol/hash.h"

namespace splicehost::remote {

namespace {

// Changes with the format.
constexpr uint64_t kMark = 0x3253454749444853;
// In the file. Some builds have thousands of libraries and files.
constexpr size_t kMostRecords = linker::DigestCache::kMostEntries;

// A record as it is in the file, which never leaves this machine.
struct Record {
  uint64_t mark;
  std::array<char, 36> boot;  // which start of the kernel it was
  uint32_t unused;
  uint64_t mount, device, inode, size;
  int64_t modified, changed;
  std::array<uint8_t, 32> digest;
  uint64_t checksum;
};

// Of all but the checksum: against torn writes, not against malice.
uint64_t checksum(const Record& record) {
  Hash hash;
  hash.add({reinterpret_cast<const char*>(&record), offsetof(Record, checksum)});
  return hash.value();
}

// Another one after each start of the kernel; nothing if it is not known.
std::array<char, 36> bootId() {
  std::array<char, 36> id{};
  kj::AutoCloseFd fd(open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0 || read(fd.get(), id.data(), id.size()) != static_cast<ssize_t>(id.size())) id.fill('\0');
  return id;
}

}  // namespace

std::string digestFile() {
  auto variable = [](const char* name) {
    const char* value = getenv(name);
    return std::string(value == nullptr ? "" : value);
  };
  std::string directory = variable("XDG_CACHE_HOME");
  if (!directory.starts_with('/')) {
    std::string home = variable("HOME");
    if (!home.starts_with('/')) return "";
    directory = home + "/.cache";
  }
  directory += "/splicehost";
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  return error ? "" : directory + "/digests";
}

Result<linker::ContentDigest> readDigest(capnp::Data::Reader data) {
  linker::ContentDigest digest;
  if (data.size() != digest.bytes.size()) {
    return Error{"the other side names content by a digest of " + std::to_string(data.size()) + " bytes"};
  }
  std::copy(data.begin(), data.end(), digest.bytes.begin());
  return digest;
}

DigestMemory::DigestMemory(std::string file) : file_(std::move(file)) {
  kj::AutoCloseFd fd(open(file_.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status;
  if (fd.get() < 0 || fstat(fd.get(), &status) != 0 || status.st_uid != geteuid()) return;
  auto count = static_cast<size_t>(status.st_size) / sizeof(Record);
  // One more than whole records: another process's write was cut short, and nothing after it is aligned.
  if (count > kMostRecords || static_cast<size_t>(status.st_size) % sizeof(Record) != 0) {
    beginAnew_ = true;
    return;
  }
  std::vector<Record> records(count);
  ssize_t got = pread(fd.get(), records.data(), count * sizeof(Record), 0);
  if (got < 0) return;
  records.resize(static_cast<size_t>(got) / sizeof(Record));
  const std::array<char, 36> boot = bootId();
  for (const Record& record : records) {
    if (record.mark != kMark) beginAnew_ = true;
    if (record.mark != kMark || record.boot != boot || record.checksum != checksum(record)) continue;
    cache_.note({record.device, record.inode, record.size, record.modified, record.changed, record.mount},
                {record.digest});
  }
  cache_.takeNew();
}

void DigestMemory::note(const linker::FileSignature& signature, const linker::ContentDigest& digest, int64_t since) {
  if (linker::hasSettled(signature, since)) cache_.note(signature, digest);
}

void DigestMemory::save() {
  const std::array<char, 36> boot = bootId();
  const auto added = cache_.takeNew();
  if (added.empty() || boot.front() == '\0') return;
  std::vector<Record> records;
  for (const auto& [signature, digest] : added) {
    Record record{};
    record.mark = kMark;
    record.boot = boot;
    record.mount = signature.mount;
    record.device = signature.device;
    record.inode = signature.inode;
    record.size = signature.size;
    record.modified = signature.mtimeNs;
    record.changed = signature.ctimeNs;
    record.digest = digest.bytes;
    record.checksum = checksum(record);
    records.push_back(record);
  }
  // A file that is begun anew takes the old one's place at once, so that nobody sees a part of it.
  // Containers that share it have processes of the same id, so the name is a random one.
  std::string target = beginAnew_ ? file_ + ".XXXXXX" : file_;
  kj::AutoCloseFd fd(beginAnew_ ? mkostemp(target.data(), O_APPEND | O_CLOEXEC)
                                : open(target.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (fd.get() < 0) return;
  ssize_t put = write(fd.get(), records.data(), records.size() * sizeof(Record));
  bool whole = put == static_cast<ssize_t>(records.size() * sizeof(Record));
  if (beginAnew_ && (!whole || rename(target.c_str(), file_.c_str()) != 0)) unlink(target.c_str());
  beginAnew_ = false;
}

}  // namespace splicehost::remote
