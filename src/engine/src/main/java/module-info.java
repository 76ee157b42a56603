/** The library: models in, exact gradients of observables and feature vectors out. */
module obsprop.engine {
    requires transitive obsprop.cuda;
    requires jdk.incubator.vector;
    requires com.fasterxml.jackson.core;

    exports obsprop.analysis.attribution;
    exports obsprop.analysis.coupling;
    exports obsprop.analysis.scores;
    exports obsprop.analysis.steering;
    exports obsprop.analysis.lens;
    exports obsprop.analysis.probes;
    exports obsprop.analysis.norms;
    exports obsprop.analysis.heads;
    exports obsprop.analysis.patching;
    exports obsprop.analysis.runs;
    exports obsprop.analysis.search;
    exports obsprop.analysis.statistics;
    exports obsprop.backend;
    exports obsprop.kernel.cpu;
    exports obsprop.kernel.cuda;
    exports obsprop.kernel.scalar;
    exports obsprop.kernel;
    exports obsprop.model.family;
    exports obsprop.model.io;
    exports obsprop.model.layer;
    exports obsprop.model;
    exports obsprop.propagation.error;
    exports obsprop.propagation.path;
    exports obsprop.propagation;
    exports obsprop.tensor.io;
    exports obsprop.tensor;
}
