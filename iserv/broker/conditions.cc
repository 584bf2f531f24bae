#include "iserv/broker/conditions.h"

#include <sys/stat.h>

#include <algorithm>
#include <cstring>

#include "protocol/text.h"

namespace splicehost::broker {

namespace {

LoadConditions::File readFile(schema::Conditions::File::Reader file) {
  LoadConditions::File result{
      toString(file.getPath()), readStamp(file.getStamp()), file.getUnsettled(), {}, toString(file.getResolved())};
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
  for (auto folder : conditions.getFolders()) result.folders.push_back(readFile(folder));
  for (auto name : conditions.getNames()) result.names.push_back(toString(name));
  return result;
}

void Conditions::add(uint32_t depth, const LoadConditions& conditions) {
  // What was there before is the stricter condition.
  for (const auto& file : conditions.files) files_.emplace(file.path, Watched{depth, file});
  auto search = std::make_shared<Search>(Search{depth, {}, conditions.names});
  for (const auto& folder : conditions.folders) {
    folders_.emplace(folder.path, Watched{depth, folder});
    search->folders.push_back(folder.path);
  }
  if (!search->folders.empty()) searches_.push_back(std::move(search));
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
  for (auto& [path, watched] : folders_) keepFirst(first, lookInto(watched));
  return first;
}

// What its path stands for is the client's to know. But what was written to a file has changed where that is mapped,
// even if it has the same content again.
bool Conditions::isUnchanged(Own& own) {
  FileStamp there = linker::stampOfAny(own.path);
  if (there.device == own.stamp.device && there.inode == own.stamp.inode) return there == own.stamp;
  if (!own.mapped) return true;
  auto now = own.mapped->stamp();
  if (!now || *now == own.stamp) return now.ok();
  // It was replaced or removed, which is seen in its ctime; so is what was written to it before that.
  if (now->size != own.stamp.size || now->mtimeNs != own.stamp.mtimeNs) return false;
  auto content = own.mapped->content();
  if (!content || content->digest != own.digest) return false;
  if (content->settled) own.stamp = content->stamp;
  return true;
}

bool Conditions::isUnchanged(LoadConditions::File& file) const {
  int64_t begin = linker::systemClock();
  if (linker::stampOfAny(file.path) != file.stamp) return false;
  if (!file.resolved.empty() && linker::kernelPathOf(file.path) != file.resolved) return false;
  if (!file.unsettled) return true;
  if (!file.digest) {
    file.unsettled = !linker::hasSettled(file.stamp, begin);
    return true;
  }
  auto opened = linker::OpenFile::open(file.path);
  if (!opened) return false;
  auto content = opened->content();
  if (!content || content->stamp != file.stamp || content->digest != *file.digest) return false;
  file.unsettled = !content->settled;
  return true;
}

// Whether what was searched for has appeared in a folder, or the folder itself.
std::optional<Conditions::Change> Conditions::lookInto(Watched& folder) {
  int64_t begin = linker::systemClock();
  FileStamp now = linker::stampOfAny(folder.file.path);
  if (now == folder.file.stamp && !folder.file.unsettled) return std::nullopt;
  // The loader remembers which folders are not there, and so do all forks.
  if (folder.file.stamp == FileStamp{} && now != FileStamp{}) return Change{folder.depth, folder.file.path};
  for (const auto& search : searches_) {
    if (std::ranges::find(search->folders, folder.file.path) == search->folders.end()) continue;
    for (const std::string& name : search->names) {
      std::string path = folder.file.path + "/" + name;
      bool isWatched = files_.contains(path) || folders_.contains(path);
      if (!isWatched && exists(path)) return Change{search->depth, path};
    }
  }
  folder.file.unsettled = !linker::hasSettled(now, begin);
  folder.file.stamp = now;
  return std::nullopt;
}

}  // namespace splicehost::broker
