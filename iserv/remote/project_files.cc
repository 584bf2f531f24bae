#include "iserv/remote/project_files.h"

#include <capnp/serialize.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <memory>

#include "protocol/text.h"

namespace splicehost::remote {

namespace {

constexpr int kMaxDepth = 64;

bool isExcluded(const ProjectSelection& selection, const std::string& relative, const std::string& name) {
  for (const std::string& pattern : selection.excluded) {
    bool path = pattern.find('/') != std::string::npos;
    if (fnmatch(pattern.c_str(), path ? relative.c_str() : name.c_str(), path ? FNM_PATHNAME : 0) == 0) return true;
  }
  return false;
}

class Walk {
 public:
  Walk(const ProjectSelection& selection, HostFiles& files) : selection_(selection), files_(files) {}

  Result<ContentSource> directory(const std::string& path, const std::string& relative, int depth) {
    if (depth > kMaxDepth) return Error{path + ": directories are nested too deeply"};
    std::vector<std::string> names;
    {
      struct Close {
        void operator()(DIR* directory) const { closedir(directory); }
      };
      std::unique_ptr<DIR, Close> open(opendir(path.c_str()));
      while (dirent* entry = open ? readdir(open.get()) : nullptr) {
        std::string name = entry->d_name;
        if (name != "." && name != "..") names.push_back(std::move(name));
      }
    }
    std::sort(names.begin(), names.end());

    capnp::MallocMessageBuilder message;
    auto orphanage = message.getOrphanage();
    std::vector<capnp::Orphan<schema::Directory::Entry>> entries;
    for (const std::string& name : names) {
      std::string below = relative.empty() ? name : relative + "/" + name;
      std::string file = path + "/" + name;
      struct stat status;
      if (isExcluded(selection_, below, name) || lstat(file.c_str(), &status) != 0) continue;
      auto orphan = orphanage.newOrphan<schema::Directory::Entry>();
      auto entry = orphan.get();
      entry.setName(toData(name));
      if (++count_ > selection_.maxFiles) {
        return Error{"there are more than " + std::to_string(selection_.maxFiles) + " files under " + selection_.root +
                     ": name a smaller directory (--root, ISERV_ROOT) or exclude some (--exclude, ISERV_EXCLUDE)"};
      }
      if (S_ISDIR(status.st_mode)) {
        auto content = directory(file, below, depth + 1);
        if (!content) return content;
        setContent(entry.initDirectory(), *content);
      } else if (S_ISREG(status.st_mode)) {
        if (static_cast<uint64_t>(status.st_size) > selection_.maxFileBytes) continue;
        auto content = files_.file(file);
        if (!content) continue;
        total_ += content->size;
        if (total_ > selection_.maxTotalBytes) {
          return Error{"the files under " + selection_.root + " have more than " +
                       std::to_string(selection_.maxTotalBytes >> 20) +
                       " MB: name a smaller directory (--root, ISERV_ROOT) or exclude some (--exclude, ISERV_EXCLUDE)"};
        }
        content->name.clear();
        setContent(entry.initFile(), *content);
      } else if (S_ISLNK(status.st_mode)) {
        std::error_code error;
        std::string leads = std::filesystem::read_symlink(file, error);
        if (error) continue;
        entry.setLink(toData(leads));
      } else {
        continue;
      }
      entries.push_back(kj::mv(orphan));
    }
    // A message of its own, so that the same directory has the same bytes.
    capnp::MallocMessageBuilder result;
    auto list = result.initRoot<schema::Directory>().initEntries(static_cast<uint32_t>(entries.size()));
    for (uint32_t i = 0; i < list.size(); ++i) list.setWithCaveats(i, entries[i].getReader());
    auto words = capnp::messageToFlatArray(result);
    auto bytes = words.asChars();
    return files_.bytes(std::string(bytes.begin(), bytes.end()), "");
  }

 private:
  const ProjectSelection& selection_;
  HostFiles& files_;
  uint32_t count_ = 0;
  uint64_t total_ = 0;
};

}  // namespace

Result<ContentSource> describeProject(const ProjectSelection& selection, HostFiles& files) {
  return Walk(selection, files).directory(selection.root, "", 0);
}

std::string explainMissingFile(const std::string& text, const ProjectSelection& selection,
                               const std::string& directory) {
  // GHC.IO.Exception shows an exception of a file as "path: operation: kind (reason)".
  constexpr std::string_view kMissing = ": does not exist";
  size_t at = text.find(kMissing);
  if (at == std::string::npos) return "";
  std::string before = text.substr(0, at);
  size_t operation = before.rfind(": ");
  if (operation == std::string::npos) return "";
  before.resize(operation);
  size_t line = before.rfind('\n');
  std::string path = line == std::string::npos ? before : before.substr(line + 1);
  path = path.substr(path.find_first_not_of(" \t") == std::string::npos ? 0 : path.find_first_not_of(" \t"));
  std::string absolute =
      std::filesystem::path(path.starts_with('/') ? path : directory + "/" + path).lexically_normal();
  struct stat status;
  if (stat(absolute.c_str(), &status) != 0) return "";
  if (absolute != selection.root && !absolute.starts_with(selection.root + "/")) {
    return absolute + " is here, but not on the target: only files under " + selection.root +
           " are. To show it others, name another directory: --root DIRECTORY (with -opti), or ISERV_ROOT";
  }
  if (static_cast<uint64_t>(status.st_size) > selection.maxFileBytes) {
    return absolute + " is here, but too large to be on the target: the limit is " +
           std::to_string(selection.maxFileBytes) +
           " bytes. To raise it: --max-file BYTES (with -opti), or ISERV_MAX_FILE";
  }
  return absolute +
         " is here, but not on the target: it is excluded, or newer than this compile. What is excluded: "
         "--exclude PATTERNS (with -opti), or ISERV_EXCLUDE";
}

}  // namespace splicehost::remote
