#include "linker/archive.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <string>
#include <utility>

#include "linker/file_kind.h"

namespace splicehost::linker {
namespace {

constexpr std::string_view kMagic = "!<arch>\n";
constexpr std::string_view kThinMagic = "!<thin>\n";

// The header's fields, as offset and length (ar(5)).
constexpr size_t kHeaderSize = 60;
constexpr size_t kNameLength = 16;
constexpr size_t kSizeOffset = 48;
constexpr size_t kSizeLength = 10;
constexpr std::string_view kHeaderEnd = "`\n";

Error at(uint64_t offset, const std::string& problem) {
  return Error{"offset " + std::to_string(offset) + ": " + problem};
}

std::string quoted(std::string_view text) { return "'" + printable(text) + "'"; }

std::string_view trimRight(std::string_view text) {
  const size_t last = text.find_last_not_of(' ');
  return last == text.npos ? std::string_view{} : text.substr(0, last + 1);
}

// A decimal number that fills the text, or nothing.
std::optional<uint64_t> parseDecimal(std::string_view text) {
  uint64_t value = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

bool startsWithDigit(std::string_view text) { return !text.empty() && text[0] >= '0' && text[0] <= '9'; }

}  // namespace

Result<ArchiveReader> ArchiveReader::open(std::span<const std::byte> file) {
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.size());
  if (bytes.starts_with(kMagic)) return ArchiveReader(bytes, false);
  if (bytes.starts_with(kThinMagic)) return ArchiveReader(bytes, true);
  return Error{"this is " + describeContent(file) + ", not an archive"};
}

// The name that starts at the stated place of the name table. Its end is "/\n"; RTS and reader
// alike require a newline (or the table's start) before it, which catches most wrong offsets.
Result<std::string_view> ArchiveReader::longName(std::string_view digits, uint64_t offset) const {
  // Digits end at a space, or at the ':' of a member of an archive in a thin archive.
  const size_t length = digits.find_first_not_of("0123456789");
  const std::optional<uint64_t> start = parseDecimal(digits.substr(0, length));
  if (!names_) return at(offset, "a long member name, but no table of names before it");
  const std::string_view table = *names_;
  if (!start || *start >= table.size()) {
    return at(offset, "member name at " + quoted(trimRight(digits)) + " of a table of " + std::to_string(table.size()) +
                          " bytes");
  }
  if (*start > 0 && table[*start - 1] != '\n') {
    return at(offset,
              "member name at " + std::to_string(*start) + " of the table of names, which is in the middle of a name");
  }
  const size_t end = table.find('\n', *start);
  if (end == table.npos) {
    return at(offset, "member name at " + std::to_string(*start) + " of the table of names, where it has no end");
  }
  std::string_view name = table.substr(*start, end - *start);
  if (name.ends_with('/')) name.remove_suffix(1);
  if (name.empty()) return at(offset, "empty member name in the table of names");
  return name;
}

// Finds the member's name and role; takes a BSD name off the front of its content.
Result<ArchiveReader::Role> ArchiveReader::decodeName(std::string_view field, uint64_t offset, ArchiveMember& member,
                                                      std::string_view& content) const {
  if (field.starts_with("#1/")) {
    const std::optional<uint64_t> length = parseDecimal(trimRight(field.substr(3)));
    if (!length) return at(offset, "the length of a BSD member name is " + quoted(field.substr(3)));
    if (*length > content.size()) {
      return at(offset, "a BSD member name of " + std::to_string(*length) + " bytes in a member of " +
                            std::to_string(content.size()));
    }
    member.name = content.substr(0, *length);
    member.name = member.name.substr(0, member.name.find('\0'));
    content.remove_prefix(*length);
    return Role::kOrdinary;
  }
  if (field.starts_with("//")) return Role::kNameTable;
  if (field.starts_with('/')) {
    if (startsWithDigit(field.substr(1))) {
      Result<std::string_view> name = longName(field.substr(1), offset);
      if (!name) return name.error();
      member.name = *name;
      return Role::kOrdinary;
    }
    const std::string_view rest = trimRight(field.substr(1));
    if (rest.empty()) return Role::kSymbolIndex32;
    if (rest == "SYM64/") return Role::kSymbolIndex64;
    return at(offset, "unknown special member " + quoted(trimRight(field)));
  }
  // A slash ends the name; without one, a space does.
  size_t end = field.find('/');
  if (end == field.npos) end = field.find(' ');
  member.name = field.substr(0, end);
  return Role::kOrdinary;
}

Result<std::optional<ArchiveReader::Entry>> ArchiveReader::nextEntry() {
  const std::string_view rest = file_.substr(std::min<uint64_t>(position_, file_.size()));
  // Some tools pad an archive at its end; the RTS ends quietly if no whole name field is left.
  if (rest.size() < kNameLength && rest.find_first_not_of(std::string_view("\n \0", 3)) == rest.npos) {
    return std::optional<Entry>{};
  }
  if (rest.size() < kHeaderSize) {
    return at(position_, "the archive ends inside a member's header, after " + std::to_string(rest.size()) +
                             " of its " + std::to_string(kHeaderSize) + " bytes");
  }

  const std::string_view header = rest.substr(0, kHeaderSize);
  if (!header.ends_with(kHeaderEnd)) return at(position_, "no member header where one should be");
  const std::string_view sizeField = header.substr(kSizeOffset, kSizeLength);
  const std::optional<uint64_t> size = parseDecimal(trimRight(sizeField));
  if (!size) return at(position_, "a member's size is " + quoted(sizeField));

  Entry entry;
  entry.member.offset = position_;
  const std::string_view field = header.substr(0, kNameLength);
  // In a thin archive only GNU's special members have their content here.
  const bool special = field.starts_with('/') && !startsWithDigit(field.substr(1));
  entry.member.external = thin_ && !special;
  std::string_view content = rest.substr(kHeaderSize);
  if (entry.member.external) {
    content = {};
  } else if (*size > content.size()) {
    return at(position_, "member " + quoted(trimRight(field)) + " of " + std::to_string(*size) + " bytes reaches " +
                             std::to_string(*size - content.size()) + " bytes past the end");
  } else {
    content = content.substr(0, *size);
  }
  const uint64_t stored = content.size();

  Result<Role> role = decodeName(field, position_, entry.member, content);
  if (!role) return role.error();
  entry.role = *role;
  entry.member.data = std::as_bytes(std::span(content.data(), content.size()));
  entry.member.size = entry.member.external ? *size : content.size();
  if (entry.role == Role::kNameTable) {
    if (names_) return at(position_, "a second table of member names");
    names_ = content;
  }

  // The byte of padding may be missing at the very end.
  position_ += kHeaderSize + stored + stored % 2;
  return std::optional(entry);
}

Result<std::optional<ArchiveMember>> ArchiveReader::next() {
  while (true) {
    Result<std::optional<Entry>> entry = nextEntry();
    if (!entry) return entry.error();
    if (!entry->has_value()) return std::optional<ArchiveMember>{};
    const Entry& found = **entry;
    if (found.role != Role::kOrdinary || found.member.name.starts_with("__.SYMDEF")) continue;
    return std::optional(found.member);
  }
}

Result<std::vector<ArchiveMember>> readArchive(std::span<const std::byte> file) {
  Result<ArchiveReader> reader = ArchiveReader::open(file);
  if (!reader) return reader.error();
  std::vector<ArchiveMember> members;
  while (true) {
    Result<std::optional<ArchiveMember>> member = reader->next();
    if (!member) return member.error();
    if (!member->has_value()) return members;
    members.push_back(**member);
  }
}

}  // namespace splicehost::linker
