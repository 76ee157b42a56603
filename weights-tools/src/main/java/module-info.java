/** Tools for model files: inspect, convert, make random models, and train the demo model on a corpus with known statistics. */
module obsprop.weights {
    requires transitive obsprop.engine;
    requires com.fasterxml.jackson.core;
    requires transitive info.picocli;

    exports obsprop.weights;
    opens obsprop.weights to info.picocli;
    exports obsprop.weights.checkpoint;
    exports obsprop.weights.corpus;
    exports obsprop.weights.train;
}
