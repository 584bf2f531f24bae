#include "iserv/interpreter.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>

#include "bytecode/format.h"
#include "iserv/crash_report.h"
#include "iserv/hangup_watch.h"
#include "iserv/session.h"

// Written by ways/build-interpreter: kGhcVersion, kWay, kBuildIdentity and kBootLibraries.
#include "interpreter_build.inc"

namespace splicehost {

namespace {

int usage(const char* program) {
  std::fprintf(stderr,
               "usage: %s --fd N [+RTS OPTIONS]\n"
               "The interpreter of GHC %.*s, %s way. It is started by a front end; see iserv --help.\n",
               program, static_cast<int>(kGhcVersion.size()), kGhcVersion.data(),
               kj::str(kWay).cStr());
  return 2;
}

int complain(const Error& error) {
  std::fprintf(stderr, "splicehost: %s\n", error.message.c_str());
  return 1;
}

// The number behind --fd, or -1.
int socketOf(int argc, char* argv[]) {
  if (argc < 3 || std::strcmp(argv[1], "--fd") != 0) return -1;
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

void startRts(int* argc, char*** argv, std::span<const ExportedSymbol> symbols) {
  RtsConfig config = defaultRtsConfig;
  config.rts_opts_enabled = RtsOptsAll;
  // Interpreted code can refer to any top-level thunk of the program at any time.
  config.keep_cafs = 1;
  hs_init_ghc(argc, argv, config);
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
  int fd = socketOf(argc, argv);
  if (fd < 0) return usage(argv[0]);
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  bool reports = hasRtsOptions(argc, argv);

  auto watch = std::make_unique<HangupWatch>(fd);
  startRts(&argc, &argv, symbols);
  installCrashReport();

  const InterpreterBuild build{ghc::findVersion(kGhcVersion), bytecode::findFormat(kGhcVersion),
                               kWay, kBuildIdentity, kBootLibraries};
  Connection connection{kj::AutoCloseFd(fd)};
  Session session(build, connection);
  Status status = session.greet();
  if (status) status = session.serve();
  // The client has been told; from here on its going is no reason to stop short.
  watch.reset();
  if (!status) return complain(status.error());
  // Ending the RTS collects the whole heap once more, for nothing, unless it has a report to write.
  if (reports) hs_exit();
  _exit(0);
}

}  // namespace splicehost
