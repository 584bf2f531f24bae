#include "iserv/interpreter/rts_lock.h"
//
#include "iserv/interpreter/preloader.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "iserv/base/file_signature.h"
#include "iserv/base/process_state.h"
#include "iserv/interpreter/loader_search.h"
#include "linker/mapped_file.h"
#include "linker/path_guard.h"
#include "protocol/system.h"
#include "protocol/text.h"

namespace splicehost {

namespace {

// A constructor that forks returns twice. The second process has no orders to take.
void endIfForked(pid_t self) {
  if (getpid() != self) _exit(0);
}

bool isThinArchive(const std::string& path) {
  auto file = linker::MappedFile::open(path);
  constexpr std::string_view kThin = "!<thin>\n";
  return file && file->bytes().size() >= kThin.size() &&
         std::memcmp(file->bytes().data(), kThin.data(), kThin.size()) == 0;
}

// The content of a file, and whether it is still the same after something was done with it.
class WatchedFile {
 public:
  explicit WatchedFile(std::string path) : path_(std::move(path)) {}

  Status read() {
    auto guard = linker::PathGuard::begin(path_);
    if (!guard) return guard.error();
    guard_.emplace(std::move(*guard));
    auto file = linker::OpenFile::open(path_);
    if (!file) return file.error();
    file_.emplace(std::move(*file));
    auto content = file_->content();
    if (!content) return content.error();
    content_ = *content;
    return Done{};
  }

  Status readAgain() {
    if (Status led = guard_->unchanged(); !led) return led;
    auto signature = linker::signatureOf(path_);
    if (!signature) return signature.error();
    bool same = *signature == content_.signature;
    if (same && !content_.settled) {
      auto again = file_->content();
      if (!again) return again.error();
      same = again->signature == content_.signature && again->digest == content_.digest;
    }
    if (!same) return Error{path_ + " changed while it was loaded"};
    return Done{};
  }

  void describe(schema::LoadedFile::Builder file) const {
    file.setSha256({content_.digest.bytes.data(), content_.digest.bytes.size()});
    writeSignature(content_.signature, file.initSignature());
    file.setSettled(content_.settled);
  }

  // The file, which was read.
  linker::OpenFile release() { return std::move(*file_); }

 private:
  std::string path_;
  std::optional<linker::PathGuard> guard_;
  std::optional<linker::OpenFile> file_;
  linker::FileContent content_;
};

}  // namespace

std::optional<linker::OpenFile> Preloader::load(schema::LoadOperation::Reader operation,
                                                schema::Loaded::Builder loaded) {
  std::string file = toString(operation.getFile());
  WatchedFile watched(file);
  bool hasFile = file.find('/') != std::string::npos;
  uint32_t relative = operation.getRelative();
  LoaderSearch search(file, file.substr(0, relative == 0 ? 0 : relative - 1));
  uint64_t start = monotonicNanoseconds();

  Status status = hasFile ? watched.read() : Status(Done{});
  if (status && operation.getKind() == schema::LoadKind::LOAD_ARCHIVE && isThinArchive(file)) {
    status = Error{file + ": the content of a thin archive lies in other files"};
  }
  std::string name = file.substr(relative);
  pid_t self = getpid();
  EffectWatch effects;
  if (status) status = performIn(file.substr(0, relative), operation.getKind(), name);
  endIfForked(self);
  std::string effect = effects.end();
  if (status && hasFile) status = watched.readAgain();
  if (status) files_.push_back(name);
  if (!status) {
    loaded.setFailed(status.error().message);
    return std::nullopt;
  }
  auto done = loaded.initDone();
  done.setNanoseconds(monotonicNanoseconds() - start);
  done.setEffect(effect);
  if (hasFile) watched.describe(done);

  // Its path can be seen, and what lies beside it can be found.
  bool bound = hasFile && operation.getKind() == schema::LoadKind::LOAD_DLL && !isHaskellLibrary(file);
  if (bound) search.countPath();
  done.setBound(bound || (search.foundMore() && search.searchesNearby()));
  if (Status described = search.describe(done.initConditions()); !described) {
    loaded.setFailed(described.error().message);
  }
  // The RTS reads archives, and maps the rest.
  bool isMapped = hasFile && operation.getKind() != schema::LoadKind::LOAD_ARCHIVE;
  return isMapped ? std::optional(watched.release()) : std::nullopt;
}

// The loader names a shared object as it was asked for it: a relative path is to be one.
Status Preloader::performIn(const std::string& directory, schema::LoadKind kind, const std::string& file) {
  if (directory.empty()) return perform(kind, file);
  kj::AutoCloseFd before(open(".", O_PATH | O_CLOEXEC));
  if (chdir(directory.c_str()) != 0) return Error{directory + " is gone"};
  Status status = perform(kind, file);
  if (fchdir(before.get()) != 0) _exit(1);
  return status;
}

Status Preloader::perform(schema::LoadKind kind, const std::string& file) {
  switch (kind) {
    case schema::LoadKind::INIT_LINKER:
      linker_.initialise();
      return Done{};
    case schema::LoadKind::LOAD_DLL: {
      auto message = linker_.loadSharedObject(file);
      if (message) return Error{*message};
      return Done{};
    }
    case schema::LoadKind::LOAD_ARCHIVE:
      return linker_.loadArchive(file);
    case schema::LoadKind::LOAD_OBJ:
      return linker_.loadObject(file);
    case schema::LoadKind::RESOLVE_OBJS:
      if (!linker_.resolve()) return Error{"a symbol is missing"};
      return Done{};
  }
  return Error{"an unknown load operation"};
}

// Linking runs the constructors of archive members. The process is compared after a few symbols at a time.
void Preloader::lookUp(capnp::List<capnp::Text>::Reader symbols, schema::FromZygote::Builder answer) {
  constexpr uint32_t kAtATime = 32;
  // A symbol may need what this process has not loaded. A session says so, if it comes to that.
  RtsMsgFunction* tell = std::exchange(errorMsgFn, [](const char*, va_list) {});
  pid_t self = getpid();
  uint32_t found = 0;
  for (uint32_t first = 0; first < symbols.size(); first += kAtATime) {
    uint32_t end = std::min(first + kAtATime, symbols.size());
    EffectWatch effects;
    for (uint32_t i = first; i < end; ++i) found += linker_.link(symbols[i].cStr()) ? 1 : 0;
    endIfForked(self);
    std::string effect = effects.end();
    if (effect.empty()) continue;
    auto report = answer.initEffect();
    report.setWhat(effect);
    report.setFirst(first);
    report.setCount(end - first);
    break;
  }
  errorMsgFn = tell;
  answer.setLookedUp(found);
}

Status Preloader::replay(capnp::List<capnp::Data>::Reader names, capnp::List<schema::LoadOperation>::Reader further) {
  if (names.size() != files_.size() + further.size()) return Error{"the broker's operations are not the client's"};
  for (uint32_t i = 0; i < names.size(); ++i) {
    if (i < files_.size()) {
      linker_.rename(files_[i], toString(names[i]));
    } else if (Status done = perform(further[i - files_.size()].getKind(), toString(names[i])); !done) {
      return done;
    }
  }
  return Done{};
}

}  // namespace splicehost
