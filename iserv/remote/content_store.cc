#include "iserv/remote/content_store.h"
#include "protocol/system.h"

// As in linker/content_identity.cc.
#define OPENSSL_SUPPRESS_DEPRECATED

#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace splicehost::remote {

namespace {

namespace fs = std::filesystem;

// What was used as lately as this is in use.
constexpr time_t kInUseSeconds = 600;
// A use is not noted again so soon.
constexpr time_t kTouchSeconds = 60;
// After how much that was added it is seen how much there is.
constexpr uint64_t kCountInterval = uint64_t{64} << 20;

Status makeDirectory(const std::string& path) {
  if (mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) return systemError(path);
  return Done{};
}

}  // namespace

struct ContentStore::Arrival::Hash {
  SHA256_CTX context;
};

ContentStore::ContentStore(std::string directory, uint64_t maxBytes)
    : directory_(std::move(directory)),
      maxBytes_(maxBytes),
      digests_(directory_ + "/digests"),
      counted_(kCountInterval) {}

Result<std::unique_ptr<ContentStore>> ContentStore::open(const std::string& directory, uint64_t maxBytes) {
  std::error_code error;
  if (fs::path parent = fs::path(directory).parent_path(); !parent.empty()) fs::create_directories(parent, error);
  if (Status made = makeDirectory(directory); !made) return made.error();
  struct stat status;
  if (lstat(directory.c_str(), &status) != 0) return systemError(directory);
  // Whoever can write to it has code run by everybody who uses it.
  if (!S_ISDIR(status.st_mode)) return Error{directory + " is not a directory; name another one (--cache)"};
  if (status.st_uid != geteuid() || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return Error{directory + " belongs to another user or is open to others; name another directory (--cache)"};
  }
  for (const char* part : {"/content", "/partial", "/trees"}) {
    if (Status made = makeDirectory(directory + part); !made) return made.error();
  }
  return std::unique_ptr<ContentStore>(new ContentStore(directory, maxBytes));
}

void ContentStore::touch(const std::string& entry) {
  struct stat status;
  if (stat(entry.c_str(), &status) == 0 && time(nullptr) - status.st_mtime > kTouchSeconds) {
    utimensat(AT_FDCWD, entry.c_str(), nullptr, 0);
  }
}

std::optional<std::string> ContentStore::find(const linker::ContentDigest& digest, const std::string& name) {
  std::string entry = entryDirectory(digest);
  std::string path = entry + "/" + (name.empty() ? "content" : name);
  Result<linker::FileSignature> signature = linker::signatureOf(path);
  if (!signature) {
    // It may be here by another name.
    std::error_code error;
    for (const auto& other : fs::directory_iterator(entry, error)) {
      if (link(other.path().c_str(), path.c_str()) != 0 && errno != EEXIST) continue;
      signature = linker::signatureOf(path);
      break;
    }
    if (!signature) return std::nullopt;
  }
  if (auto known = digests_.cache().find(*signature); !known || *known != digest) {
    Result<linker::FileContent> now = digests_.cache().contentOf(path);
    if (now && now->digest != digest) {
      std::error_code error;
      fs::remove_all(entry, error);
    }
    // That it could not be read may be since somebody else has linked it meanwhile, who needs it.
    if (!now || now->digest != digest) return std::nullopt;
  }
  touch(entry);
  return path;
}

Result<std::optional<ContentStore::Arrival>> ContentStore::expect(const linker::ContentDigest& digest, uint64_t size) {
  Arrival arrival;
  arrival.path_ = directory_ + "/partial/" + digest.hex();
  arrival.digest_ = digest;
  arrival.size_ = size;
  for (;;) {
    arrival.file_ = kj::AutoCloseFd(::open(arrival.path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (arrival.file_.get() < 0) return systemError(arrival.path_);
    if (flock(arrival.file_.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return std::optional<Arrival>();
      return systemError(arrival.path_);
    }
    // Whoever had it locked may have put it in its place meanwhile.
    struct stat mine, present;
    if (fstat(arrival.file_.get(), &mine) == 0 && stat(arrival.path_.c_str(), &present) == 0 &&
        mine.st_ino == present.st_ino) {
      arrival.offset_ = static_cast<uint64_t>(mine.st_size);
      break;
    }
  }
  if (arrival.offset_ > size) {
    arrival.offset_ = 0;
    if (ftruncate(arrival.file_.get(), 0) != 0) return systemError(arrival.path_);
  }
  arrival.hash_ = std::make_shared<Arrival::Hash>();
  SHA256_Init(&arrival.hash_->context);
  std::vector<std::byte> buffer(256 << 10);
  for (uint64_t at = 0; at < arrival.offset_;) {
    ssize_t got = pread(arrival.file_.get(), buffer.data(), buffer.size(), static_cast<off_t>(at));
    if (got <= 0) return systemError(arrival.path_);
    SHA256_Update(&arrival.hash_->context, buffer.data(), static_cast<size_t>(got));
    at += static_cast<uint64_t>(got);
  }
  counted_ += size;
  if (counted_ >= kCountInterval) makeRoom(size);
  return std::optional<Arrival>(std::move(arrival));
}

Status ContentStore::append(Arrival& arrival, std::span<const std::byte> bytes) {
  if (bytes.size() > arrival.size_ - arrival.offset_) return Error{"more content arrives than was announced"};
  SHA256_Update(&arrival.hash_->context, bytes.data(), bytes.size());
  bool roomMade = false;
  while (!bytes.empty()) {
    ssize_t put = pwrite(arrival.file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(arrival.offset_));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0 && (errno == ENOSPC || errno == EDQUOT) && !std::exchange(roomMade, true)) {
      makeRoom(maxBytes_);
      continue;
    }
    if (put < 0) {
      Error error = systemError("the store of content, " + directory_);
      // It is of no use to leave the disk full.
      unlink(arrival.path_.c_str());
      return error;
    }
    arrival.offset_ += static_cast<uint64_t>(put);
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
  return Done{};
}

Status ContentStore::finish(Arrival arrival, const std::string& name) {
  linker::ContentDigest digest;
  SHA256_Final(digest.bytes.data(), &arrival.hash_->context);
  if (digest != arrival.digest_ || arrival.offset_ != arrival.size_) {
    unlink(arrival.path_.c_str());
    return Error{"the content that arrived as " + (name.empty() ? arrival.digest_.hex() : name) +
                 " is not what was announced"};
  }
  std::string entry = entryDirectory(digest);
  if (Status made = makeDirectory(entry); !made) return made;
  std::string path = entry + "/" + (name.empty() ? "content" : name);
  // Nobody writes to it again. Zygotes may execute what a shared object has in it.
  fchmod(arrival.file_.get(), 0555);
  int64_t since = linker::systemClock();
  if (rename(arrival.path_.c_str(), path.c_str()) != 0) return systemError(path);
  Result<linker::FileSignature> signature = linker::signatureOf(arrival.file_.get());
  if (signature) digests_.note(*signature, digest, since);
  return Done{};
}

std::optional<std::string> ContentStore::findTree(const linker::ContentDigest& digest) {
  std::string path = directory_ + "/trees/" + digest.hex();
  struct stat status;
  if (stat(path.c_str(), &status) != 0) return std::nullopt;
  touch(path);
  return path + "/root";
}

Result<std::string> ContentStore::beginTree(const linker::ContentDigest& digest) {
  // Containers that share a store have processes of the same id.
  std::string path = directory_ + "/partial/tree-" + digest.hex() + "-XXXXXX";
  if (mkdtemp(path.data()) == nullptr) return systemError(path);
  if (Status made = makeDirectory(path + "/root"); !made) return made.error();
  return path + "/root";
}

Result<std::string> ContentStore::finishTree(const linker::ContentDigest& digest, const std::string& made) {
  std::string path = directory_ + "/trees/" + digest.hex();
  std::string from = made.substr(0, made.rfind('/'));
  if (rename(from.c_str(), path.c_str()) != 0) {
    // Somebody else was quicker.
    std::error_code error;
    fs::remove_all(from, error);
    if (!fs::is_directory(path, error)) return systemError(path);
  }
  return path + "/root";
}

void ContentStore::makeRoom(uint64_t room) {
  counted_ = 0;
  struct Entry {
    std::string path;
    time_t used;
    uint64_t bytes;
  };
  std::vector<Entry> entries;
  uint64_t total = 0;
  std::error_code error;
  auto add = [&](const fs::path& path, uint64_t bytes) {
    struct stat status;
    if (lstat(path.c_str(), &status) != 0) return;
    entries.push_back({path, status.st_mtime, bytes});
    total += bytes;
  };
  for (const auto& entry : fs::directory_iterator(directory_ + "/content", error)) {
    uint64_t bytes = 0;
    // Several names of one file.
    for (const auto& file : fs::directory_iterator(entry.path(), error)) {
      struct stat status;
      if (lstat(file.path().c_str(), &status) == 0) bytes = static_cast<uint64_t>(status.st_blocks) * 512;
    }
    add(entry.path(), bytes);
  }
  // A tree is links, but what it links to stays as long as it does.
  for (const auto& entry : fs::directory_iterator(directory_ + "/trees", error)) add(entry.path(), 4096);
  for (const auto& entry : fs::directory_iterator(directory_ + "/partial", error)) {
    std::error_code none;
    uintmax_t bytes = entry.is_regular_file(none) ? entry.file_size(none) : 4096;
    add(entry.path(), bytes);
  }
  uint64_t wanted = room >= maxBytes_ ? 0 : maxBytes_ - room;
  if (total <= wanted) return;
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.used < b.used; });
  time_t now = time(nullptr);
  for (const Entry& entry : entries) {
    if (total <= wanted || now - entry.used < kInUseSeconds) break;
    fs::remove_all(entry.path, error);
    total -= entry.bytes;
  }
}

}  // namespace splicehost::remote
