#include "protocol/describe.h"

#include <capnp/dynamic.h>
#include <kj/string.h>

namespace splicehost {

namespace {

// A trace line is for a person.
constexpr size_t kMaxLine = 400;
constexpr uint64_t kMaxBytesShown = 64;

std::string shorten(kj::String text) {
  std::string line(text.cStr(), text.size());
  if (line.size() > kMaxLine) {
    line.resize(kMaxLine);
    line += " ...";
  }
  return line;
}

std::string bytesSummary(const char* name, uint64_t count, uint64_t bytes) {
  return std::string("(") + name + " = " + std::to_string(count) + " items, " +
         std::to_string(bytes) + " bytes)";
}

std::string quoted(const char* name, capnp::Text::Reader text) {
  return std::string(name) + " " + std::string(text.begin(), text.size());
}

}  // namespace

std::string requestName(schema::Request::Which which) {
  auto fields = capnp::Schema::from<schema::Request>().getUnionFields();
  return fields[static_cast<uint16_t>(which)].getProto().getName().cStr();
}

std::string describe(schema::Request::Reader request) {
  if (request.isCreateBcos()) {
    uint64_t bytes = 0;
    for (auto chunk : request.getCreateBcos()) bytes += chunk.size();
    return bytesSummary("createBcos", request.getCreateBcos().size(), bytes);
  }
  if (request.isMallocStrings()) {
    uint64_t bytes = 0;
    for (auto string : request.getMallocStrings()) bytes += string.size();
    return bytesSummary("mallocStrings", request.getMallocStrings().size(), bytes);
  }
  if (request.isMallocData() && request.getMallocData().size() > kMaxBytesShown) {
    return bytesSummary("mallocData", 1, request.getMallocData().size());
  }
  return shorten(kj::str(request));
}

std::string describe(schema::Reply::Reader reply) {
  if (reply.isQResult() && reply.getQResult().isDone()) {
    return bytesSummary("qResult", 1, reply.getQResult().getDone().size());
  }
  if (reply.isClosure()) return bytesSummary("closure", 1, reply.getClosure().size());
  return shorten(kj::str(reply));
}

std::string describe(schema::FromInterpreter::Reader message) {
  if (message.isReply()) return describe(message.getReply());
  if (message.isThRequest()) return bytesSummary("thRequest", 1, message.getThRequest().size());
  return shorten(kj::str(message));
}

std::string subject(schema::Request::Reader request) {
  switch (request.which()) {
    case schema::Request::LOOKUP_SYMBOL:
      return quoted("lookupSymbol", request.getLookupSymbol());
    case schema::Request::LOOKUP_CLOSURE:
      return quoted("lookupClosure", request.getLookupClosure());
    case schema::Request::LOOKUP_SYMBOL_IN_DLL:
      return quoted("lookupSymbolInDll", request.getLookupSymbolInDll().getSymbol());
    case schema::Request::LOAD_DLL:
      return quoted("loadDll", request.getLoadDll());
    case schema::Request::LOAD_ARCHIVE:
      return quoted("loadArchive", request.getLoadArchive());
    case schema::Request::LOAD_OBJ:
      return quoted("loadObj", request.getLoadObj());
    case schema::Request::UNLOAD_OBJ:
      return quoted("unloadObj", request.getUnloadObj());
    case schema::Request::RUN_TH: {
      auto splice = request.getRunTh();
      if (!splice.hasLocation()) {
        return splice.getKind() == schema::SpliceKind::ANNOTATION ? "annotation" : "splice";
      }
      auto at = splice.getLocation();
      return kj::str("splice at ", at.getFile(), ":", at.getStartLine(), ":", at.getStartColumn(),
                     " (module ", at.getModule(), ")")
          .cStr();
    }
    case schema::Request::EVAL_STMT:
      return "evalStmt (a statement at the prompt)";
    default:
      return requestName(request.which());
  }
}

std::string thMessageName(const ghc::Version& version, capnp::Data::Reader message) {
  if (message.size() == 0) return "(empty)";
  uint8_t tag = message[0];
  if (tag >= version.thMessages.size()) return "(tag " + std::to_string(tag) + ")";
  return std::string(version.thMessages[tag]);
}

}  // namespace splicehost
