// What interpreter.capnp says of GHC's messages, for code that handles all of them: the constructors and fields of each
// type, and what the annotations say of a request.
//
// What a message is, is read from the schema when the first of its kind comes. All of them take a cold process 0.3 ms,
// and a compile needs few. Nobody owns it but the process; any thread may ask. A schema that says something which
// cannot be is found by the first test that runs.
#pragma once

#include <capnp/dynamic.h>

#include <cstdint>
#include <string_view>
#include <vector>

#include "protocol/interpreter.capnp.h"

namespace splicehost {

struct StructLayout;

struct FieldLayout {
  capnp::StructSchema::Field field;
  std::string_view name;  // in the schema
  capnp::Type type;
  const char* haskell = nullptr;            // GHC's name of the type, for error messages
  const StructLayout* structure = nullptr;  // of a struct, or of a list's elements
  uint8_t enumerants = 0;                   // of an enum: how many there are
  uint64_t elementSize = 0;                 // of a list: bytes that an element takes at the least, in GHC's encoding
  bool reference = false;                   // these annotations
  bool subject = false;
  bool optional = false;
};

struct StructLayout {
  uint64_t id = 0;  // of the schema
  const char* haskell = nullptr;
  // Of a struct without a union: in order.
  std::vector<FieldLayout> fields;
  // Of a union: GHC's constructors, in order. One has several alternatives if what it holds depends on the request.
  std::vector<std::vector<FieldLayout>> constructors;
  // Of a union: where each member is in `constructors`, by its number in the schema.
  struct Place {
    uint8_t constructor;
    uint8_t alternative;
  };
  std::vector<Place> members;
  // Whether there is a reference in it, at any depth.
  bool hasReferences = false;

  const FieldLayout& member(uint16_t discriminant) const {
    Place place = members[discriminant];
    return constructors[place.constructor][place.alternative];
  }
};

// What a message holds.
const FieldLayout& layoutOf(schema::Request::Which which);
const FieldLayout& layoutOf(schema::Reply::Which which);

// What the annotations of a request say.
struct RequestKind {
  std::string_view name;         // in the schema
  std::string_view constructor;  // GHC's name, if it is another one, upper and lower case aside
  schema::Reply::Which reply = schema::Reply::DONE;
  std::string_view value;  // the alternative that a success of the reply holds; empty if there is one only
  bool evaluated = false;
  bool statement = false;
  bool asks = false;
};
const RequestKind& kindOf(schema::Request::Which which);

// Reads the whole schema, so that what is forked from this process need not.
void readAllLayouts();

}  // namespace splicehost
