// Reading static libraries: the `ar` archive format.
//
// An archive is the eight bytes "!<arch>\n" and then members. Each is a 60-byte header of padded text fields (name,
// times, owner, size in decimal, and the two bytes "`\n") and the content, padded to an even length. The name field has
// room for 16 characters, and everything irregular about the format comes from that:
//
//   foo.o/           GNU: a short name; the slash ends it, so that names may hold spaces
//   /123             GNU: a name that starts 123 bytes into the member called "//"
//   //               GNU: the table of long names, each ended by "/\n"
//   /  and  /SYM64/  GNU: the symbol index, with 32-bit or 64-bit numbers
//   #1/20            BSD: the first 20 bytes of the content are the name, padded with zeros
//   __.SYMDEF        BSD: its symbol index, an ordinary member with a reserved name
//
// A thin archive ("!<thin>\n") holds the headers and GNU's special members. The content of the others stays in the
// files that they name, relative to the archive's directory.
//
// Sources: ar(5); binutils' include/aout/ar.h; and, for what is accepted, loadArchive_ and lookupGNUArchiveIndex in GHC
// 9.0.2 rts/linker/LoadArchive.c. Where the RTS would read out of bounds (a long name without an end, a BSD name longer
// than its member), this reader reports an error. It also refuses archives that are cut short in a place where the RTS
// says nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "protocol/result.h"

namespace splicehost::linker {

// One member. The views point into the archive's bytes.
struct ArchiveMember {
  // Without the format's decoration; for an external member, the path of its file.
  std::string_view name;
  // Empty if external.
  std::span<const std::byte> data;
  // The size that the header states: data.size(), or what an external file should have.
  uint64_t size = 0;
  // Where its header is in the archive.
  uint64_t offset = 0;
  bool external = false;
};

// Walks an archive member by member, touching the headers only.
class ArchiveReader {
 public:
  // Fails if the bytes are no archive, saying what they are. The bytes must outlive the reader and
  // all that it returns.
  static Result<ArchiveReader> open(std::span<const std::byte> file);

  // The next member that is not part of the format itself: symbol indexes of both kinds and the
  // table of names are passed over. Nothing after the last. An error says at which offset; after
  // one, the reader cannot go on.
  Result<std::optional<ArchiveMember>> next();

  bool thin() const { return thin_; }

 private:
  enum class Role { kOrdinary, kSymbolIndex32, kSymbolIndex64, kNameTable };
  struct Entry {
    ArchiveMember member;
    Role role = Role::kOrdinary;
  };

  ArchiveReader(std::string_view file, bool thin) : file_(file), thin_(thin) {}

  Result<std::optional<Entry>> nextEntry();
  Result<Role> decodeName(std::string_view field, uint64_t offset, ArchiveMember& member,
                          std::string_view& content) const;
  Result<std::string_view> longName(std::string_view digits, uint64_t offset) const;

  std::string_view file_;
  bool thin_;
  uint64_t position_ = 8;
  std::optional<std::string_view> names_;
};

// All members, in order.
Result<std::vector<ArchiveMember>> readArchive(std::span<const std::byte> file);

}  // namespace splicehost::linker
