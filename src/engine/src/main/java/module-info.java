/** The library: models in, exact gradients of observables and feature vectors out. */
module obsprop.engine {
    requires obsprop.cuda;
    requires jdk.incubator.vector;
    requires com.fasterxml.jackson.core;

    exports obsprop.tensor;
    exports obsprop.tensor.io;
    exports obsprop.model.io;
    exports obsprop.kernel;
    exports obsprop.model;
    exports obsprop.model.family;
    exports obsprop.model.layer;
    exports obsprop.propagation;
    exports obsprop.analysis.statistics;
    exports obsprop.analysis.heads;
    exports obsprop.analysis.coupling;
    exports obsprop.analysis.scores;
    exports obsprop.analysis.steering;
    exports obsprop.analysis.lens;
    exports obsprop.analysis.probes;
    exports obsprop.analysis.norms;
}
