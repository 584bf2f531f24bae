#include "linker/object_check.h"

#include <climits>
#include <optional>
#include <span>
#include <string_view>

#include "linker/archive.h"
#include "linker/mapped_file.h"

namespace splicehost::linker {
namespace {

// The RTS keeps the size of an object in an int: imageSize of mkOc and memberSize of loadArchive_
// (GHC 9.0.2 rts/Linker.c, rts/linker/LoadArchive.c).
constexpr size_t kLargestObject = INT_MAX;

Status checkImage(std::span<const std::byte> image) {
  if (image.size() > kLargestObject) {
    return Error{"the object has " + std::to_string(image.size()) + " bytes; GHC's linker cannot load 2 GiB or more"};
  }
  return checkObject(image, kHostMachine);
}

bool namedLikeObject(std::string_view name) {
  return name.ends_with(".o") || name.ends_with(".lo") || name.ends_with(".p_o") || name.ends_with(".obj");
}

// Where the RTS looks for a thin archive's member: below the archive's directory, whether or not
// the name starts with a slash (readThinArchiveMember in GHC 9.0.2 rts/linker/LoadArchive.c).
std::string externalPath(const std::string& archive, std::string_view name) {
  const size_t slash = archive.rfind('/');
  const std::string directory = slash == archive.npos ? "." : archive.substr(0, slash);
  return directory + "/" + std::string(name);
}

Status checkExternalMember(const std::string& archive, const ArchiveMember& member) {
  const std::string path = externalPath(archive, member.name);
  const std::string context = "its file " + printable(path);
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error().within(context);
  // The RTS reads as many bytes as the archive states: a file that has grown would be cut off.
  if (file->bytes().size() != member.size) {
    return Error{"has " + std::to_string(file->bytes().size()) + " bytes, but the archive says " +
                 std::to_string(member.size)}
        .within(context);
  }
  Status checked = checkImage(file->bytes());
  if (!checked) return checked.error().within(context);
  return checked;
}

Status checkMembers(const std::string& path, std::span<const std::byte> file) {
  Result<ArchiveReader> reader = ArchiveReader::open(file);
  if (!reader) return reader.error().within("archive " + path);
  while (true) {
    Result<std::optional<ArchiveMember>> next = reader->next();
    if (!next) return next.error().within("archive " + path);
    if (!next->has_value()) return Done{};
    const ArchiveMember& member = **next;
    if (!namedLikeObject(member.name)) continue;
    Status checked = member.external ? checkExternalMember(path, member) : checkImage(member.data);
    if (!checked) {
      return checked.error().within("archive " + path + ", member " + printable(member.name) + " (offset " +
                                    std::to_string(member.offset) + ")");
    }
  }
}

}  // namespace

Status checkLoadableArchive(const std::string& path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error().within("archive " + path);
  return checkMembers(path, file->bytes());
}

Status checkLoadableObject(const std::string& path) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file) return file.error().within("object " + path);
  Status checked = checkImage(file->bytes());
  if (!checked) return checked.error().within("object " + path);
  return checked;
}

}  // namespace splicehost::linker
