#include "iserv/evaluator.h"

#include <HsFFI.h>

#include <cstdio>
#include <cstdlib>

#include "protocol/ghc_messages.h"

// Defined in Haskell (ways/shim/Splicehost/Shim.hs).
extern "C" {
void splicehost_prepare(void);
HsInt32 splicehost_run(HsPtr bytes, HsWord64 size, HsPtr resultBytes, HsPtr resultSize);
void splicehost_flush(void);
}

namespace splicehost {

namespace {

// The one global that calls from Haskell force.
ThChannel* channelOfProcess = nullptr;

}  // namespace

extern "C" {

void splicehost_th_request(const uint8_t* bytes, size_t size) {
  channelOfProcess->request({reinterpret_cast<const std::byte*>(bytes), size});
}

const uint8_t* splicehost_th_answer(size_t* size) {
  ghc::Bytes piece = channelOfProcess->answer();
  *size = piece.size();
  return reinterpret_cast<const uint8_t*>(piece.data());
}

void splicehost_note_reference(uint64_t reference) { channelOfProcess->noteReference(reference); }
}

Evaluator::Evaluator(const ghc::Version& version, ThChannel& channel) : version_(version) {
  channelOfProcess = &channel;
}

Evaluator::~Evaluator() { channelOfProcess = nullptr; }

bool Evaluator::carriesOut(schema::Request::Which which) {
  switch (which) {
    case schema::Request::EVAL_STMT:
    case schema::Request::RESUME_STMT:
    case schema::Request::ABANDON_STMT:
    case schema::Request::EVAL_STRING:
    case schema::Request::EVAL_STRING_TO_STRING:
    case schema::Request::EVAL_IO:
    case schema::Request::GET_BREAKPOINT_VAR:
    case schema::Request::START_TH:
    case schema::Request::RUN_TH:
    case schema::Request::RUN_MOD_FINALIZERS:
    case schema::Request::GET_CLOSURE:
    case schema::Request::SEQ:
    case schema::Request::RESUME_SEQ:
      return true;
    default:
      return false;
  }
}

Status Evaluator::run(schema::Request::Reader request, schema::Reply::Builder reply) {
  if (!prepared_) {
    prepared_ = true;
    splicehost_prepare();
  }
  // Template Haskell code receives further messages, which end the life of this one.
  auto which = request.which();
  ghc::Writer message;
  ghc::encodeRequest(version_, request, message);

  std::byte* bytes = nullptr;
  size_t size = 0;
  int status = splicehost_run(const_cast<std::byte*>(message.bytes().data()),
                              message.bytes().size(), &bytes, &size);
  std::unique_ptr<std::byte, decltype(&std::free)> owner(bytes, &std::free);
  if (status != 0) return Error{std::string(reinterpret_cast<char*>(bytes), size)};
  // What was printed through C belongs before what GHC prints next.
  std::fflush(nullptr);
  return ghc::decodeReply(version_, which, {bytes, size}, reply);
}

void Evaluator::flush() {
  if (prepared_) splicehost_flush();
  std::fflush(nullptr);
}

}  // namespace splicehost
