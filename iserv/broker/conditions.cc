#include "iserv/broker/conditions.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "protocol/text.h"

namespace splicehost::broker {

namespace {

LoadConditions::File readFile(schema::Conditions::File::Reader file) {
  LoadConditions::File result{toString(file.getPath()),
                              readSignature(file.getSignature()),
                              file.getUnsettled(),
                              {},
                              toString(file.getResolved())};
  auto digest = file.getSha256();
  if (ContentDigest content; digest.size() == content.bytes.size()) {
    std::memcpy(content.bytes.data(), digest.begin(), digest.size());
    result.digest = content;
  }
  return result;
}

// Links that lead nowhere exist as well.
bool exists(const std::string& path) {
  struct stat status;
  return lstat(path.c_str(), &status) == 0;
}

// The earlier one of two changes.
void keepFirst(std::optional<Conditions::Change>& first, std::optional<Conditions::Change> other) {
  if (other && (!first || other->depth < first->depth)) first = std::move(other);
}

}  // namespace

LoadConditions readConditions(schema::Conditions::Reader conditions) {
  LoadConditions result;
  for (auto file : conditions.getFiles()) result.files.push_back(readFile(file));
  for (auto directory : conditions.getDirectories()) result.directories.push_back(readFile(directory));
  for (auto name : conditions.getNames()) result.names.push_back(toString(name));
  return result;
}

void Conditions::add(uint32_t depth, const LoadConditions& conditions) {
  // What was there before is the stricter condition.
  for (const auto& file : conditions.files) files_.emplace(file.path, Watched{depth, file});
  auto search = std::make_shared<Search>(Search{depth, {}, conditions.names});
  for (const auto& directory : conditions.directories) {
    directories_.emplace(directory.path, Watched{depth, directory});
    search->directories.push_back(directory.path);
  }
  if (!search->directories.empty()) searches_.push_back(std::move(search));
}

void Conditions::addOwn(uint32_t depth, Own file) { own_.emplace_back(depth, std::move(file)); }

std::optional<Conditions::Change> Conditions::firstChange() {
  std::optional<Change> first;
  for (auto& [depth, own] : own_) {
    if (!isUnchanged(own)) keepFirst(first, Change{depth, own.path});
  }
  for (auto& [path, watched] : files_) {
    if (!isUnchanged(watched.file)) keepFirst(first, Change{watched.depth, path});
  }
  for (auto& [path, watched] : directories_) keepFirst(first, lookInto(watched));
  return first;
}

// What its path stands for is the client's to know. But a file that was written to has changed where it is mapped, even
// if its content is the same again.
bool Conditions::isUnchanged(Own& own) {
  FileSignature there = linker::signatureOfAny(own.path);
  if (there.device == own.signature.device && there.inode == own.signature.inode) return there == own.signature;
  if (!own.mapped) return true;
  auto now = own.mapped->signature();
  if (!now || *now == own.signature) return now.ok();
  // It was replaced or removed, which is seen in its ctime; so is what was written to it before that.
  if (now->size != own.signature.size || now->mtimeNs != own.signature.mtimeNs) return false;
  auto content = own.mapped->content();
  if (!content || content->digest != own.digest) return false;
  if (content->settled) own.signature = content->signature;
  return true;
}

bool Conditions::isUnchanged(LoadConditions::File& file) const {
  int64_t begin = linker::systemClock();
  if (linker::signatureOfAny(file.path) != file.signature) return false;
  if (!file.resolved.empty() && linker::kernelPathOf(file.path) != file.resolved) return false;
  if (!file.unsettled) return true;
  if (!file.digest) {
    file.unsettled = !linker::hasSettled(file.signature, begin);
    return true;
  }
  auto opened = linker::OpenFile::open(file.path);
  if (!opened) return false;
  auto content = opened->content();
  if (!content || content->signature != file.signature || content->digest != *file.digest) return false;
  file.unsettled = !content->settled;
  return true;
}

// Whether what was searched for has appeared in a directory, or the directory itself.
std::optional<Conditions::Change> Conditions::lookInto(Watched& directory) {
  int64_t begin = linker::systemClock();
  FileSignature now = linker::signatureOfAny(directory.file.path);
  if (now == directory.file.signature && !directory.file.unsettled) return std::nullopt;
  // The loader remembers which directories are not there, and so do all forks.
  if (directory.file.signature == FileSignature{} && now != FileSignature{}) {
    return Change{directory.depth, directory.file.path};
  }
  for (const auto& search : searches_) {
    if (std::ranges::find(search->directories, directory.file.path) == search->directories.end()) continue;
    for (const std::string& name : search->names) {
      std::string path = directory.file.path + "/" + name;
      bool isWatched = files_.contains(path) || directories_.contains(path);
      if (!isWatched && exists(path)) return Change{search->depth, path};
    }
  }
  directory.file.unsettled = !linker::hasSettled(now, begin);
  directory.file.signature = now;
  return std::nullopt;
}

}  // namespace splicehost::broker
