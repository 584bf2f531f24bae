#include "iserv/remote/host_files.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <kj/io.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "linker/archive.h"
#include "linker/mapped_file.h"
#include "protocol/system.h"
#include "protocol/text.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

namespace splicehost::remote {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kThin = "!<thin>\n";
constexpr std::string_view kElf = "\177ELF";
// Shared objects that need shared objects.
constexpr int kMaxDepth = 16;
// Nobody writes a longer linker script.
constexpr size_t kMaxScript = 64 << 10;

std::string baseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string_view view(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

bool startsWith(std::span<const std::byte> bytes, std::string_view start) { return view(bytes).starts_with(start); }

// The text at an offset of a string table.
std::string textAt(std::string_view table, uint64_t offset) {
  if (offset >= table.size()) return "";
  std::string_view rest = table.substr(offset);
  return std::string(rest.substr(0, rest.find('\0')));
}

}  // namespace

bool isSystemDirectory(const std::string& directory) {
  std::string path = fs::path(directory).lexically_normal();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  for (std::string_view root : {"/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib32", "/usr/lib32", "/usr/local/lib"}) {
    if (path == root) return true;
    // Debian's directories for architectures: one level, with a name of the form a-b-c.
    if (!path.starts_with(std::string(root) + "/")) continue;
    std::string rest = path.substr(root.size() + 1);
    if (rest.find('/') == rest.npos && std::count(rest.begin(), rest.end(), '-') >= 2) return true;
  }
  return false;
}

std::vector<std::string> readLinkerScript(std::string_view text) {
  std::vector<std::string> names;
  if (text.size() > kMaxScript || text.find('\0') != text.npos) return names;
  // Comments.
  std::string plain;
  for (size_t i = 0; i < text.size();) {
    if (text.substr(i, 2) == "/*") {
      size_t end = text.find("*/", i + 2);
      i = end == text.npos ? text.size() : end + 2;
      plain += ' ';
    } else {
      plain += text[i++];
    }
  }
  std::vector<std::string> words;
  std::string word;
  for (char c : plain + " ") {
    if (std::string_view(" \t\r\n,").find(c) != std::string_view::npos || c == '(' || c == ')') {
      if (!word.empty()) words.push_back(std::exchange(word, ""));
      if (c == '(' || c == ')') words.emplace_back(1, c);
    } else if (c != '"') {
      word += c;
    }
  }
  int inInput = 0, inAsNeeded = 0;
  for (size_t i = 0; i < words.size(); ++i) {
    bool opens = i + 1 < words.size() && words[i + 1] == "(";
    if (words[i] == "(") {
      continue;
    } else if (words[i] == ")") {
      if (inAsNeeded > 0) {
        --inAsNeeded;
      } else if (inInput > 0) {
        --inInput;
      }
    } else if (opens && (words[i] == "INPUT" || words[i] == "GROUP")) {
      ++inInput;
    } else if (opens && words[i] == "AS_NEEDED") {
      ++inAsNeeded;
    } else if (opens) {
      // OUTPUT_FORMAT and the like.
      while (i < words.size() && words[i] != ")") ++i;
    } else if (inInput > 0 && inAsNeeded == 0 && !words[i].ends_with(".a")) {
      names.push_back(words[i].starts_with("-l") ? "lib" + words[i].substr(2) + ".so" : words[i]);
    }
  }
  return names;
}

Result<std::string> flattenArchive(std::span<const std::byte> archive, const std::string& directory) {
  auto members = linker::readArchive(archive);
  if (!members) return members.error();
  // Long names lie in a member of their own, each ended by "/\n".
  std::string names;
  std::string body;
  auto header = [](const std::string& name, uint64_t size) {
    std::string text(60, ' ');
    auto put = [&](size_t at, const std::string& field) { text.replace(at, field.size(), field); };
    put(0, name);
    put(16, "0");
    put(28, "0");
    put(34, "0");
    put(40, "644");
    put(48, std::to_string(size));
    put(58, "`\n");
    return text;
  };
  for (const linker::ArchiveMember& member : *members) {
    std::string path(member.name);
    std::string content(view(member.data));
    if (member.external) {
      if (!path.starts_with('/')) path = directory + "/" + path;
      auto file = linker::MappedFile::open(path);
      if (!file) return file.error();
      content = view(file->bytes());
    }
    std::string name = baseName(path);
    std::string field = name + "/";
    if (name.size() > 15) {
      field = "/" + std::to_string(names.size());
      names += name + "/\n";
    }
    body += header(field, content.size()) + content;
    if (content.size() % 2 != 0) body += '\n';
  }
  std::string result = "!<arch>\n";
  if (!names.empty()) {
    result += header("//", names.size()) + names;
    if (names.size() % 2 != 0) result += '\n';
  }
  return result + body;
}

Result<DynamicSection> readDynamicSection(std::span<const std::byte> file, const std::string& directory) {
  std::string_view bytes = view(file);
  Elf64_Ehdr header;
  if (bytes.size() < sizeof header || !bytes.starts_with(kElf)) return Error{"this is no shared object"};
  std::memcpy(&header, bytes.data(), sizeof header);
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return Error{"this is no little-endian shared object of 64 bits"};
  }
  auto part = [&](uint64_t offset, uint64_t size) -> std::string_view {
    if (offset > bytes.size() || size > bytes.size() - offset) return {};
    return bytes.substr(offset, size);
  };
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  std::string_view table = part(header.e_phoff, segments.size() * sizeof(Elf64_Phdr));
  if (table.empty() || header.e_phentsize != sizeof(Elf64_Phdr)) return Error{"its program headers are not in it"};
  std::memcpy(segments.data(), table.data(), table.size());
  auto fileOffset = [&](uint64_t address) -> uint64_t {
    for (const Elf64_Phdr& segment : segments) {
      if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz) {
        return address - segment.p_vaddr + segment.p_offset;
      }
    }
    return UINT64_MAX;
  };
  DynamicSection result;
  std::vector<Elf64_Dyn> entries;
  for (const Elf64_Phdr& segment : segments) {
    if (segment.p_type != PT_DYNAMIC) continue;
    std::string_view content = part(segment.p_offset, segment.p_filesz);
    entries.resize(content.size() / sizeof(Elf64_Dyn));
    std::copy_n(content.data(), entries.size() * sizeof(Elf64_Dyn), reinterpret_cast<char*>(entries.data()));
  }
  uint64_t strings = UINT64_MAX, size = 0;
  for (const Elf64_Dyn& entry : entries) {
    if (entry.d_tag == DT_STRTAB) strings = fileOffset(entry.d_un.d_ptr);
    if (entry.d_tag == DT_STRSZ) size = entry.d_un.d_val;
  }
  std::string_view texts = part(strings, size);
  std::string paths, runPaths;
  for (const Elf64_Dyn& entry : entries) {
    if (entry.d_tag == DT_NULL) break;
    std::string text = textAt(texts, entry.d_un.d_val);
    if (entry.d_tag == DT_NEEDED) result.needed.push_back(text);
    if (entry.d_tag == DT_SONAME) result.soname = text;
    if (entry.d_tag == DT_RPATH) paths = text;
    if (entry.d_tag == DT_RUNPATH) runPaths = text;
  }
  std::string_view rest = runPaths.empty() ? paths : runPaths;
  while (!rest.empty()) {
    std::string one(rest.substr(0, rest.find(':')));
    rest.remove_prefix(std::min(one.size() + 1, rest.size()));
    for (std::string_view origin : {"${ORIGIN}", "$ORIGIN"}) {
      for (size_t at; (at = one.find(origin)) != one.npos;) one.replace(at, origin.size(), directory);
    }
    if (one.starts_with('/')) result.searched.push_back(one);
  }
  return result;
}

Result<ContentSource> HostFiles::file(const std::string& path) {
  if (attention_ != nullptr && !attention_->isNeeded()) return Error{"nobody needs it"};
  Result<linker::FileContent> content = digests_.contentOf(path);
  if (!content) return content.error();
  ContentSource source{content->digest, content->signature.size, baseName(path)};
  origins_.insert_or_assign(content->digest, Origin{path, content->signature, ""});
  return source;
}

ContentSource HostFiles::bytes(std::string content, std::string name) {
  linker::ContentDigest digest;
  SHA256(reinterpret_cast<const unsigned char*>(content.data()), content.size(), digest.bytes.data());
  ContentSource source{digest, content.size(), std::move(name)};
  origins_.insert_or_assign(digest, Origin{"", {}, std::move(content)});
  return source;
}

Result<ContentSource> HostFiles::archive(const std::string& path) {
  std::byte start[kThin.size()];
  kj::AutoCloseFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  bool thin = fd.get() >= 0 && ::read(fd.get(), start, sizeof start) == sizeof start && startsWith(start, kThin);
  if (!thin) return file(path);
  auto mapped = linker::MappedFile::open(path);
  if (!mapped) return mapped.error();
  auto whole = flattenArchive(mapped->bytes(), path.substr(0, path.rfind('/')));
  if (!whole) return whole.error().within(path);
  return bytes(std::move(*whole), baseName(path));
}

Result<std::vector<HostFiles::SharedObject>> HostFiles::sharedObject(const std::string& path) {
  std::vector<SharedObject> found;
  if (path.find('/') == path.npos) {
    found.push_back({path, std::nullopt});
    return found;
  }
  if (Status added = addSharedObject(path, 0, found); !added) return added.error();
  return found;
}

Status HostFiles::addSharedObject(const std::string& path, int depth, std::vector<SharedObject>& found) {
  if (depth > kMaxDepth) return Error{path + ": linker scripts or shared objects refer to each other endlessly"};
  auto mapped = linker::MappedFile::open(path);
  if (!mapped) return mapped.error();
  std::error_code error;
  std::string directory = fs::canonical(path, error).parent_path();
  std::string name = baseName(path);

  if (!startsWith(mapped->bytes(), kElf)) {
    std::vector<std::string> parts = readLinkerScript(view(mapped->bytes()));
    if (parts.empty()) return Error{path + " is neither a shared object nor a linker script that names one"};
    for (const std::string& part : parts) {
      std::string file = part;
      if (!file.starts_with('/')) file = path.substr(0, path.rfind('/') + 1) + part;
      if (access(file.c_str(), R_OK) != 0) {
        // What the linker would search for is the target's loader's to find.
        found.push_back({baseName(part), std::nullopt});
      } else if (Status added = addSharedObject(file, depth + 1, found); !added) {
        return added;
      }
    }
    return Done{};
  }

  auto dynamic = readDynamicSection(mapped->bytes(), directory);
  if (!dynamic) return dynamic.error().within(path);
  std::string soname = dynamic->soname.empty() ? name : dynamic->soname;
  bool haskell = name.starts_with("libHS") || name.starts_with("libghc_");
  if (!haskell && isSystemDirectory(directory)) {
    found.push_back({soname, std::nullopt});
    return Done{};
  }
  loaded_[soname] = true;
  // What the loader here would find beside it, and the loader there cannot. GHC has packages loaded in the order in
  // which they need each other, so this is about libraries of C that a package brings along.
  for (const std::string& needed : dynamic->needed) {
    if (loaded_.contains(needed) || needed.starts_with("libHS")) continue;
    for (const std::string& searched : dynamic->searched) {
      std::string file = searched + "/" + needed;
      if (isSystemDirectory(searched) || access(file.c_str(), R_OK) != 0) continue;
      if (Status added = addSharedObject(file, depth + 1, found); !added) return added;
      break;
    }
  }
  Result<ContentSource> content = this->file(path);
  if (!content) return content.error();
  content->name = soname;
  found.push_back({path, std::move(*content)});
  return Done{};
}

Result<HostFiles::Piece> HostFiles::read(const linker::ContentDigest& digest, uint64_t offset) {
  auto found = origins_.find(digest);
  if (found == origins_.end()) return Error{"the target wants content that was not named to it"};
  const Origin& origin = found->second;
  Piece piece;
  if (origin.path.empty()) {
    auto all = std::as_bytes(std::span(origin.bytes));
    if (offset > all.size()) return Error{"the target wants what is behind the end of the content"};
    all = all.subspan(offset);
    piece.last = all.size() <= schema::CONTENT_PART_SIZE;
    all = all.first(std::min<size_t>(all.size(), schema::CONTENT_PART_SIZE));
    piece.bytes.assign(all.begin(), all.end());
    return piece;
  }
  kj::AutoCloseFd fd(open(origin.path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  Result<linker::FileSignature> signature = fd.get() >= 0 ? linker::signatureOf(fd.get()) : Error{std::strerror(errno)};
  if (!signature) return signature.error().within(origin.path);
  if (*signature != origin.signature) return Error{origin.path + " has changed since it was named"};
  if (offset > signature->size) return Error{"the target wants what is behind the end of " + origin.path};
  piece.bytes.resize(std::min<uint64_t>(signature->size - offset, schema::CONTENT_PART_SIZE));
  for (size_t done = 0; done < piece.bytes.size();) {
    ssize_t got =
        pread(fd.get(), piece.bytes.data() + done, piece.bytes.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return systemError(origin.path);
    if (got == 0) return Error{origin.path + " became shorter while it was sent"};
    done += static_cast<size_t>(got);
  }
  piece.last = offset + piece.bytes.size() == signature->size;
  return piece;
}

void setContent(schema::Content::Builder builder, const ContentSource& source) {
  builder.setSha256({source.digest.bytes.data(), source.digest.bytes.size()});
  builder.setSize(source.size);
  builder.setName(toData(source.name));
}

}  // namespace splicehost::remote
