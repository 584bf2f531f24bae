#include "iserv/front_end/interpreter.h"

#include <string_view>
#include <utility>

namespace splicehost {

namespace {

// Whether a reply that nobody waits for is what was said ahead.
Status checkSucceeded(const Interpreter::Pending& request, schema::Reply::Reader reply) {
  if (reply.isLoadedDll() && reply.getLoadedDll().isFailed()) {
    return Error{request.subject + ": " + reply.getLoadedDll().getFailed().cStr()};
  }
  if (reply.isBool() && !reply.getBool()) return Error{request.subject + ": a symbol is missing"};
  return Done{};
}

}  // namespace

Status Interpreter::send(capnp::MessageBuilder& message, Pending request, bool awaited) {
  pending_.push_back(std::move(request));
  return put(message, awaited);
}

Result<std::optional<schema::FromInterpreter::Reader>> Interpreter::receive() {
  auto message = take();
  if (!message || !*message || !(*message)->isReply()) return message;
  if (pending_.empty()) return Error{"the interpreter replied to nothing"};
  const Pending& request = pending_.front();
  auto reply = (*message)->getReply();
  if (reply.isFailed()) return Error{request.subject + ": " + reply.getFailed().cStr()};
  if (!request.answered) return message;
  if (Status good = checkSucceeded(request, reply); !good) return good.error();
  done();
  return std::optional<schema::FromInterpreter::Reader>();
}

Error Interpreter::gone() {
  isGone_ = true;
  if (!pending_.empty()) return Error{"while it was busy with: " + pending_.front().subject};
  return Error{isStarting() ? "while it was starting" : "while it was idle"};
}

// The RTS keeps library search paths, and finds system libraries, only on Windows (rts/Linker.c, addLibrarySearchPath
// and following), and GHC asks these for each package. If it is not told where a system library is, it has gcc search
// for the file, once for each library, which takes longer than most splices. Those that the interpreter is linked with
// need not be found: GHC takes the answer's file name without its extension, and asks for libNAME.so to be loaded
// (GHC.Runtime.Linker, locateLib, 9.0.2), which is there already.
bool answerWithoutInterpreter(schema::Request::Reader request, const std::set<std::string>& libraries,
                              schema::Reply::Builder reply) {
  constexpr std::string_view kPrefix = "lib";
  switch (request.which()) {
    case schema::Request::ADD_LIBRARY_SEARCH_PATH:
      reply.setPointer(0);
      return true;
    case schema::Request::REMOVE_LIBRARY_SEARCH_PATH:
      reply.setBool(false);
      return true;
    case schema::Request::FIND_SYSTEM_LIBRARY:
      if (std::string name = request.getFindSystemLibrary(); libraries.contains(name)) {
        reply.initMaybeText().setText(name.substr(kPrefix.size()));
      } else {
        reply.initMaybeText().setNothing();
      }
      return true;
    default:
      return false;
  }
}

}  // namespace splicehost
