/**
 * Everything that calls native code: generated CUDA bindings and the loader that probes for a device. The only module
 * that needs native access.
 */
module obsprop.cuda {
    exports obsprop.cuda;
}
