#include "protocol/message_check.h"

#include <capnp/any.h>
#include <capnp/dynamic.h>
#include <capnp/serialize.h>

#include <string>

namespace splicehost {

namespace {

bool hasPointers(capnp::schema::Type::Which type) {
  switch (type) {
    case capnp::schema::Type::STRUCT:
    case capnp::schema::Type::LIST:
    case capnp::schema::Type::TEXT:
    case capnp::schema::Type::DATA:
      return true;
    default:
      return false;
  }
}

// Follows all pointers. What is wrong with them throws, and so does what the schema does not know.
void follow(const capnp::DynamicValue::Reader& value) {
  switch (value.getType()) {
    case capnp::DynamicValue::ENUM:
      KJ_REQUIRE(value.as<capnp::DynamicEnum>().getEnumerant() != nullptr, "an enum has no such value");
      break;
    case capnp::DynamicValue::LIST: {
      auto list = value.as<capnp::DynamicList>();
      auto type = list.getSchema().whichElementType();
      if (!hasPointers(type) && type != capnp::schema::Type::ENUM) break;
      for (auto element : list) follow(element);
      break;
    }
    case capnp::DynamicValue::STRUCT: {
      auto structure = value.as<capnp::DynamicStruct>();
      capnp::StructSchema type = structure.getSchema();
      for (auto field : type.getNonUnionFields()) {
        if (structure.has(field)) follow(structure.get(field));
      }
      if (type.getUnionFields().size() == 0) break;
      KJ_IF_MAYBE (field, structure.which()) {
        if (structure.has(*field)) follow(structure.get(*field));
      } else {
        KJ_FAIL_REQUIRE("a union has no such member");
      }
      break;
    }
    default:
      // Numbers are good; texts and data have been checked by getting them.
      break;
  }
}

// Follows all pointers whatever the schema says of them: a copy of a struct is one of all that hangs on it. That may be
// in fields that the schema does not know, in members of a union that are not in use, or in elements that are larger
// than they should be.
void followAll(const capnp::AnyPointer::Reader& pointer);

void followAll(capnp::AnyStruct::Reader structure) {
  for (auto pointer : structure.getPointerSection()) followAll(pointer);
}

void followAll(const capnp::AnyPointer::Reader& pointer) {
  switch (pointer.getPointerType()) {
    case capnp::PointerType::NULL_:
      break;
    case capnp::PointerType::STRUCT:
      followAll(pointer.getAs<capnp::AnyStruct>());
      break;
    case capnp::PointerType::LIST: {
      auto list = pointer.getAs<capnp::AnyList>();
      if (list.getElementSize() == capnp::ElementSize::POINTER) {
        for (auto element : list.as<capnp::List<capnp::AnyPointer>>()) followAll(element);
      } else if (list.getElementSize() == capnp::ElementSize::INLINE_COMPOSITE) {
        for (auto element : list.as<capnp::List<capnp::AnyStruct>>()) followAll(element);
      }
      break;
    }
    case capnp::PointerType::CAPABILITY:
      KJ_FAIL_REQUIRE("it has a capability");
  }
}

}  // namespace

Status checkMessage(kj::ArrayPtr<const capnp::word> words, capnp::StructSchema root) {
  try {
    // No two pointers of a good message lead to the same place, so there is little more to follow than the message has
    // words. A pointer from one segment to another counts twice, once for asking whether it is there.
    capnp::ReaderOptions once{2 * words.size(), kMaxNesting};
    capnp::FlatArrayMessageReader known(words, once);
    follow(known.getRoot<capnp::DynamicStruct>(root));
    capnp::FlatArrayMessageReader all(words, once);
    followAll(all.getRoot<capnp::AnyPointer>());
  } catch (const kj::Exception& e) {
    return Error{std::string("a malformed message: ") + e.getDescription().cStr()};
  }
  return Done{};
}

}  // namespace splicehost
