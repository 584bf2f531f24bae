#include "iserv/interpreter/foreign_call.h"

#include <ffi.h>

#include <string>
#include <vector>

namespace splicehost::bytecode {

struct ForeignCalls::Interface {
  ffi_cif cif;
  std::vector<ffi_type*> arguments;
};

namespace {

ffi_type* typeOf(schema::ForeignType type) {
  switch (type) {
    case schema::ForeignType::VOID:
      return &ffi_type_void;
    case schema::ForeignType::POINTER:
      return &ffi_type_pointer;
    case schema::ForeignType::FLOAT:
      return &ffi_type_float;
    case schema::ForeignType::DOUBLE:
      return &ffi_type_double;
    case schema::ForeignType::SINT8:
      return &ffi_type_sint8;
    case schema::ForeignType::SINT16:
      return &ffi_type_sint16;
    case schema::ForeignType::SINT32:
      return &ffi_type_sint32;
    case schema::ForeignType::SINT64:
      return &ffi_type_sint64;
    case schema::ForeignType::UINT8:
      return &ffi_type_uint8;
    case schema::ForeignType::UINT16:
      return &ffi_type_uint16;
    case schema::ForeignType::UINT32:
      return &ffi_type_uint32;
    case schema::ForeignType::UINT64:
      return &ffi_type_uint64;
  }
  return nullptr;
}

}  // namespace

ForeignCalls::ForeignCalls() = default;
ForeignCalls::~ForeignCalls() = default;

Result<uint64_t> ForeignCalls::prepare(schema::ForeignCall::Reader call) {
  auto interface = std::make_unique<Interface>();
  for (auto argument : call.getArguments()) interface->arguments.push_back(typeOf(argument));
  ffi_type* result = typeOf(call.getResult());
  for (ffi_type* type : interface->arguments) {
    if (type == nullptr) return Error{"foreign call: unknown argument type"};
  }
  if (result == nullptr) return Error{"foreign call: unknown result type"};
  // No platform that this runs on has another convention than the default one.
  ffi_status status = ffi_prep_cif(&interface->cif, FFI_DEFAULT_ABI, static_cast<unsigned>(interface->arguments.size()),
                                   result, interface->arguments.data());
  if (status != FFI_OK) {
    return Error{"foreign call: libffi refuses the type (status " + std::to_string(status) + ")"};
  }
  auto address = reinterpret_cast<uint64_t>(&interface->cif);
  interfaces_.emplace(address, std::move(interface));
  return address;
}

Status ForeignCalls::free(uint64_t address) {
  if (interfaces_.erase(address) == 0) {
    return Error{"there is no call interface at address " + std::to_string(address)};
  }
  return Done{};
}

}  // namespace splicehost::bytecode
