//! libvirt's filter language: model, strict reader, canonical writer and the generator.
