#include "iserv/rts_lock.h"
//
#include "iserv/zygote.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <utility>

#include "iserv/surroundings.h"
#include "linker/content_identity.h"
#include "linker/mapped_file.h"
#include "protocol/text.h"

namespace splicehost {

namespace {

uint64_t now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

// The files that the system's linker has loaded into this process.
std::set<std::string> sharedObjects() {
  std::set<std::string> files;
  auto add = [](dl_phdr_info* object, size_t, void* set) {
    // The program has no name, and the kernel's vdso no file.
    if (object->dlpi_name[0] == '/') static_cast<std::set<std::string>*>(set)->insert(object->dlpi_name);
    return 0;
  };
  dl_iterate_phdr(add, &files);
  return files;
}

void setStamp(schema::FileStamp::Builder builder, const linker::FileStamp& stamp) {
  builder.setDevice(stamp.device);
  builder.setInode(stamp.inode);
  builder.setSize(stamp.size);
  builder.setModified(stamp.mtimeNs);
  builder.setChanged(stamp.ctimeNs);
}

void setFiles(capnp::List<schema::LoadedFile::MappedFile>::Builder list,
              const std::map<std::string, linker::FileStamp>& files) {
  uint32_t i = 0;
  for (const auto& [path, stamp] : files) {
    list[i].setPath(toData(path));
    setStamp(list[i++].initStamp(), stamp);
  }
}

// The folders in which the system's linker searches for what a loaded shared object needs, and would search
// for it. With the subfolders for kinds of processors that exist there.
std::set<std::string> searchPath(const std::string& path) {
  std::set<std::string> folders;
  void* object = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  Dl_serinfo size;
  if (object == nullptr || dlinfo(object, RTLD_DI_SERINFOSIZE, &size) != 0) return folders;
  std::vector<char> memory(size.dls_size);
  auto* information = reinterpret_cast<Dl_serinfo*>(memory.data());
  if (dlinfo(object, RTLD_DI_SERINFOSIZE, information) == 0 &&
      dlinfo(object, RTLD_DI_SERINFO, information) == 0) {
    for (unsigned i = 0; i < information->dls_cnt; ++i) {
      std::string folder = information->dls_serpath[i].dls_name;
      folders.insert(folder);
      folders.insert(folder + "/glibc-hwcaps");
      std::error_code none;
      for (const auto& entry : std::filesystem::directory_iterator(folder + "/glibc-hwcaps", none)) {
        folders.insert(entry.path());
      }
    }
  }
  dlclose(object);
  return folders;
}

// Whether a loaded shared object names folders relative to its own.
bool searchesNearby(const std::string& path) {
  void* object = dlopen(path.c_str(), RTLD_LAZY | RTLD_NOLOAD);
  link_map* map = nullptr;
  if (object == nullptr || dlinfo(object, RTLD_DI_LINKMAP, &map) != 0) return true;
  const char* strings = nullptr;
  std::vector<size_t> paths;
  for (const ElfW(Dyn)* entry = map->l_ld; entry->d_tag != DT_NULL; ++entry) {
    if (entry->d_tag == DT_STRTAB) strings = reinterpret_cast<const char*>(entry->d_un.d_ptr);
    if (entry->d_tag == DT_RUNPATH || entry->d_tag == DT_RPATH) paths.push_back(entry->d_un.d_val);
  }
  bool nearby = false;
  for (size_t offset : paths) nearby = nearby || std::strstr(strings + offset, "ORIGIN") != nullptr;
  dlclose(object);
  return nearby;
}

bool isThinArchive(const std::string& path) {
  auto file = linker::MappedFile::open(path);
  constexpr std::string_view kThin = "!<thin>\n";
  return file && file->bytes().size() >= kThin.size() &&
         std::memcmp(file->bytes().data(), kThin.data(), kThin.size()) == 0;
}

// Has the kernel provide what the first evaluations will need: the pages of code, and memory to allocate in.
void touchMemory() {
  {
    RtsLock lock;
    for (bdescr* block = registersOf(lock.capability()).rCurrentNursery; block != nullptr; block = block->link) {
      auto* start = reinterpret_cast<volatile char*>(block->start);
      *start = *start;
    }
  }
  auto populate = [](dl_phdr_info* object, size_t, void*) {
    for (int i = 0; i < object->dlpi_phnum; ++i) {
      const auto& segment = object->dlpi_phdr[i];
      if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
      auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
      uintptr_t begin = (object->dlpi_addr + segment.p_vaddr) / page * page;
      uintptr_t end = object->dlpi_addr + segment.p_vaddr + segment.p_memsz;
      // Kernels before 5.14 do not know this, and do without.
      madvise(reinterpret_cast<void*>(begin), end - begin, MADV_POPULATE_READ);
    }
    return 0;
  };
  dl_iterate_phdr(populate, nullptr);
}

// The content of a file, and whether it is still the same after something was done with it.
class WatchedFile {
 public:
  explicit WatchedFile(std::string path) : path_(std::move(path)), begin_(linker::systemClock()) {}

  Status read() {
    auto stamp = linker::stampOf(path_);
    if (!stamp) return stamp.error();
    stamp_ = *stamp;
    auto digest = digests_.digestOf(path_);
    if (!digest) return digest.error();
    digest_ = *digest;
    return Done{};
  }

  Status readAgain() {
    auto stamp = linker::stampOf(path_);
    if (!stamp) return stamp.error();
    auto digest = digests_.digestOf(path_);
    if (!digest) return digest.error();
    if (*stamp != stamp_ || *digest != digest_) return Error{path_ + " changed while it was loaded"};
    return Done{};
  }

  void describe(schema::LoadedFile::Builder file) const {
    file.setSha256({digest_.bytes.data(), digest_.bytes.size()});
    setStamp(file.initStamp(), stamp_);
    file.setSettled(linker::hasSettled(stamp_, begin_));
  }

 private:
  std::string path_;
  int64_t begin_;
  linker::FileStamp stamp_;
  linker::ContentDigest digest_;
  // A settled file is read once only.
  linker::DigestCache digests_;
};

}  // namespace

Zygote::Zygote(const InterpreterBuild& build, kj::AutoCloseFd socket, End end)
    : session_(build), broker_(kj::mv(socket)), end_(end) {
  stopTimer();
}

Session& Zygote::takeOrders() {
  capnp::MallocMessageBuilder message;
  message.initRoot<schema::FromZygote>().setReady(static_cast<uint32_t>(getpid()));
  send(message);
  for (;;) {
    waitForOrder();
    auto packet = broker_.receive<schema::ToZygote>();
    // Without the broker nobody needs this process.
    if (!packet || !*packet) _exit(0);
    auto order = (*packet)->root<schema::ToZygote>();
    capnp::MallocMessageBuilder builder;
    auto answer = builder.initRoot<schema::FromZygote>();
    switch (order.which()) {
      case schema::ToZygote::LOAD:
        load(order.getLoad(), answer.initLoaded());
        break;
      case schema::ToZygote::LOOK_UP: {
        uint32_t found = 0;
        for (auto symbol : order.getLookUp()) found += session_.linker().link(symbol.cStr()) ? 1 : 0;
        answer.setLookedUp(found);
        break;
      }
      case schema::ToZygote::FORK:
        if ((*packet)->fds.size() != 1) _exit(1);
        fork(order.getFork(), kj::mv((*packet)->fds[0]));
        continue;
      case schema::ToZygote::BECOME: {
        if ((*packet)->fds.empty()) _exit(1);
        Status status = become(order.getBecome(), (*packet)->fds);
        // The client says why not.
        if (Status greeted = session_.greet(status); !greeted) _exit(1);
        return session_;
      }
    }
    send(builder);
  }
}

// Waits for something from the broker, and meanwhile for children to end.
void Zygote::waitForOrder() {
  for (;;) {
    std::vector<pollfd> fds = {{broker_.fd(), POLLIN, 0}};
    for (const ForkedChild& child : children_) fds.push_back({child.pidFd.get(), POLLIN, 0});
    if (poll(fds.data(), fds.size(), -1) < 0) continue;  // a signal
    reportEnded();
    if (fds[0].revents != 0) return;
  }
}

void Zygote::reportEnded() {
  std::erase_if(children_, [this](const ForkedChild& child) {
    int status = 0;
    if (waitpid(child.processId, &status, WNOHANG) != child.processId) return false;
    capnp::MallocMessageBuilder message;
    auto report = message.initRoot<schema::FromZygote>().initChildEnded();
    report.setProcessId(static_cast<uint32_t>(child.processId));
    report.initEnded().setStatus(WIFEXITED(status) ? WEXITSTATUS(status) : 0);
    report.getEnded().setSignal(WIFSIGNALED(status) ? WTERMSIG(status) : 0);
    send(message);
    return true;
  });
}

void Zygote::load(schema::LoadOperation::Reader operation, schema::Loaded::Builder loaded) {
  std::string file = toString(operation.getFile());
  WatchedFile watched(file);
  bool hasFile = file.find('/') != std::string::npos;
  std::set<std::string> before = sharedObjects();
  uint64_t start = now();

  Status status = hasFile ? watched.read() : Status(Done{});
  if (status && operation.getKind() == schema::LoadKind::LOAD_ARCHIVE && isThinArchive(file)) {
    status = Error{file + ": the content of a thin archive lies in other files"};
  }
  if (status) status = perform(operation.getKind(), file);
  if (status && hasFile) status = watched.readAgain();
  if (status) files_.push_back(file);
  if (!status) {
    loaded.setFailed(status.error().message);
    return;
  }
  auto done = loaded.initDone();
  done.setNanoseconds(now() - start);
  if (hasFile) watched.describe(done);

  std::map<std::string, linker::FileStamp> dependencies, folders;
  for (const std::string& path : sharedObjects()) {
    if (before.contains(path)) continue;
    for (const std::string& folder : searchPath(path)) {
      // Where it depends on the working directory it is not the same for another client.
      if (!folder.starts_with('/')) return loaded.setFailed("shared objects are searched for in " + folder);
      folders[folder] = linker::folderStampOf(folder);
    }
    auto stamp = linker::stampOf(path);
    if (stamp && path != file) dependencies[path] = *stamp;
  }
  // A shared object that needs nothing new, and has a path, is not searched for.
  if (dependencies.empty()) return;
  setFiles(done.initDependencies(static_cast<uint32_t>(dependencies.size())), dependencies);
  setFiles(done.initSearched(static_cast<uint32_t>(folders.size())), folders);
  done.setBound(searchesNearby(file));
}

Status Zygote::perform(schema::LoadKind kind, const std::string& file) {
  linker::RtsLinker& linker = session_.linker();
  switch (kind) {
    case schema::LoadKind::INIT_LINKER:
      linker.initialise();
      return Done{};
    case schema::LoadKind::LOAD_DLL: {
      auto message = linker.loadSharedObject(file);
      if (message) return Error{*message};
      return Done{};
    }
    case schema::LoadKind::LOAD_ARCHIVE:
      return linker.loadArchive(file);
    case schema::LoadKind::LOAD_OBJ:
      return linker.loadObject(file);
    case schema::LoadKind::RESOLVE_OBJS:
      if (!linker.resolve()) return Error{"a symbol is missing"};
      return Done{};
  }
  return Error{"an unknown load operation"};
}

void Zygote::fork(schema::ForkPurpose purpose, kj::AutoCloseFd socket) {
  childPurpose_ = purpose;
  childSocket_ = kj::mv(socket);
  std::fflush(nullptr);
  pid_t processId = forkEvaluator(*this);
  childSocket_ = nullptr;
  if (processId > 0) {
    // Debian 12's header for pidfd_open() is for C only.
    auto pidFd = static_cast<int>(syscall(SYS_pidfd_open, processId, 0));
    children_.push_back({processId, kj::AutoCloseFd(pidFd)});
  }
  capnp::MallocMessageBuilder message;
  message.initRoot<schema::FromZygote>().setForked(processId > 0 ? static_cast<uint32_t>(processId) : 0);
  send(message);
}

Evaluations& Zygote::prepare() {
  children_.clear();
  broker_ = PacketSocket(kj::mv(childSocket_));
  if (warmsUp()) {
    touchMemory();
    session_.prepareToConnect();
  }
  stopTimer();
  // The RTS's handler for a main program would keep an interrupt for the first evaluation.
  signal(SIGINT, SIG_IGN);
  return takeOrders();
}

void Zygote::end() {
  end_(session_);
  _exit(0);
}

Status Zygote::become(schema::Become::Reader order, std::vector<kj::AutoCloseFd>& fds) {
  kj::AutoCloseFd socket = kj::mv(fds[0]);
  fds.erase(fds.begin());
  session_.connect(kj::mv(socket));
  startTimer();
  // ^C is for the process group; what a splice starts is in it.
  setpgid(0, 0);
  Status status = adoptSurroundings(order.getAttach(), fds);
  fds.clear();

  // What was loaded here has the client's names from now on, and the rest is loaded from its files.
  auto names = order.getAttach().getFiles();
  auto replay = order.getReplay();
  if (status && names.size() != files_.size() + replay.size()) {
    status = Error{"the broker's operations are not the client's"};
  }
  for (uint32_t i = 0; status && i < names.size(); ++i) {
    if (i < files_.size()) {
      session_.linker().rename(files_[i], toString(names[i]));
    } else {
      status = perform(replay[i - files_.size()].getKind(), toString(names[i]));
    }
  }
  children_.clear();
  broker_ = PacketSocket(nullptr);
  return status;
}

void Zygote::send(capnp::MessageBuilder& message) {
  if (Status sent = broker_.send(message); !sent) _exit(0);
}

}  // namespace splicehost
