#include "iserv/interpreter/interpreter.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>

#include "bytecode/format.h"
#include "iserv/base/descriptors.h"
#include "iserv/interpreter/arena.h"
#include "iserv/interpreter/build_record.h"
#include "iserv/interpreter/crash_report.h"
#include "iserv/interpreter/session.h"
#include "iserv/interpreter/zygote.h"
#include "protocol/message_layout.h"

namespace splicehost {

namespace {

int usage(const char* program) {
  std::fprintf(stderr,
               "usage: %s --fd N [+RTS OPTIONS]\n"
               "The interpreter of GHC %.*s, %s way. It is started by a front end (see iserv --help), or\n"
               "with --zygote N by the broker.\n",
               program, static_cast<int>(kBuildRecord.ghcVersion.size()), kBuildRecord.ghcVersion.data(),
               kj::str(kBuildRecord.way).cStr());
  return 2;
}

int complain(const Error& error) {
  std::fprintf(stderr, "splicehost: %s\n", error.message.c_str());
  return 1;
}

// The number behind this option, which comes first, or -1.
int socketOf(int argc, char* argv[], const char* option) {
  if (argc < 3 || std::strcmp(argv[1], option) != 0) return -1;
  int fd = -1;
  const char* end = argv[2] + std::strlen(argv[2]);
  auto [rest, error] = std::from_chars(argv[2], end, fd);
  return error == std::errc() && rest == end && fcntl(fd, F_GETFD) >= 0 ? fd : -1;
}

bool hasRtsOptions(int argc, char* argv[]) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "+RTS") == 0) return true;
  }
  return std::getenv("GHCRTS") != nullptr;
}

[[noreturn]] void endProcess(Session& session) {
  Status status = session.end();
  std::exit(status ? 0 : complain(status.error()));
}

void startRts(int* argc, char*** argv, std::span<const ExportedSymbol> symbols) {
  RtsConfig config = defaultRtsConfig;
  config.rts_opts_enabled = RtsOptsAll;
  // -A: the splices of most modules then end before the first garbage collection. That looks at all the code that is
  // loaded and writes to it, in a fork to pages that were shared: 2 ms over aeson's libraries. More than 4 MB would be
  // memory that each further session has for itself.
  // -xm: objects lie one after another from there on, so that forks which load the same have it at the same addresses.
  // The kernel puts what is only asked to be below 2 GB (MAP_32BIT) at random places. Where objects need not be there
  // (rts/linker/MMap.c, linkerAlwaysPic) they do anyway, and there is no such option.
#if DEFAULT_LINKER_ALWAYS_PIC
  config.rts_opts = "-A4m";
#else
  config.rts_opts = "-A4m -xm40000000";
#endif
  // Interpreted code can refer to any top-level thunk of the program at any time.
  config.keep_cafs = 1;
  hs_init_ghc(argc, argv, config);
  // Interpreted code is given no arguments.
  setProgArgv(1, *argv);
  // As long as nothing is evaluated there is nothing to interrupt, and the RTS would end the process.
  // The evaluator installs its own handlers.
  signal(SIGINT, SIG_IGN);
  signal(SIGQUIT, SIG_IGN);
  if (symbols.empty()) return;
  RtsLock lock;
  initLinker_(1);
  for (const ExportedSymbol& symbol : symbols) {
    static char source[] = "(program)";
    insertSymbol(source, const_cast<char*>(symbol.name), symbol.address);
  }
}

}  // namespace

int runInterpreter(int argc, char* argv[], std::span<const ExportedSymbol> symbols) {
  int client = socketOf(argc, argv, "--fd");
  int broker = socketOf(argc, argv, "--zygote");
  if (client < 0 && broker < 0) return usage(argv[0]);
  kj::AutoCloseFd socket(client >= 0 ? client : broker);
  fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
  if (broker >= 0) {
    socket = kj::AutoCloseFd(fcntl(broker, F_DUPFD_CLOEXEC, kFirstOwn));
    occupyLowDescriptors();
  }
  bool reports = hasRtsOptions(argc, argv);

  reserveArena();
  startRts(&argc, &argv, symbols);
  installCrashReport();
  // Once, and not in each session that is forked from this process.
  readAllLayouts();

  const InterpreterBuild build{ghc::findVersion(kBuildRecord.ghcVersion), bytecode::findFormat(kBuildRecord.ghcVersion),
                               kBuildRecord.way, kBuildRecord.identity, kBuildRecord.bootLibraries};
  if (broker >= 0) {
    Zygote zygote(build, kj::mv(socket), &endProcess);
    Session& session = zygote.takeOrders();
    evaluateAll(session);
    endProcess(session);
  }
  Session session(build);
  session.connect(kj::mv(socket));
  if (Status greeted = session.greet(); !greeted) return complain(greeted.error());
  evaluateAll(session);
  // Ending the RTS collects the whole heap once more, for nothing, unless it has a report to write.
  if (reports) std::atexit(hs_exit);
  endProcess(session);
}

}  // namespace splicehost
