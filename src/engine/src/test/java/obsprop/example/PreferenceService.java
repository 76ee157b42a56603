package obsprop.example;

import java.nio.file.Path;
import java.util.Map;
import java.util.Queue;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import obsprop.backend.Backend;
import obsprop.backend.Device;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.layer.Rules;
import obsprop.propagation.Observable;
import obsprop.propagation.PreparedGradient;
import obsprop.tensor.Tensor;

/**
 * How a service embeds the engine: which tokens of a prompt push a model's preference, answered while somebody waits. One
 * model for all threads; what a call needs is prepared once for each prompt length and borrowed, so that a warm call
 * allocates nothing but its answer.
 */
public final class PreferenceService implements AutoCloseable {
    private final Backend backend;
    private final Transformer model;
    private final Observable observable;
    private final Map<Integer, Queue<PreparedGradient>> idle = new ConcurrentHashMap<>();

    /**
     * The observable's value and how much each token's place in the stream pushes it.
     *
     * @param influence for each token, the length of the gradient at the first block's input
     */
    public record Answer(double value, double[] influence) {}

    /** Opens a Hugging Face model directory. */
    public PreferenceService(Path directory, Observable observable) {
        // One thread a request: requests that run side by side share the cores without waiting for each other.
        backend = Backend.select(Backend.Choice.of(Device.CPU).withThreads(1));
        model = ModelLoader.open(directory, backend.kernels());
        this.observable = observable;
    }

    /** Answers for one prompt; safe to call from many threads. */
    public Answer ask(int[] tokenIds) {
        Queue<PreparedGradient> free = idle.computeIfAbsent(tokenIds.length, length -> new ConcurrentLinkedQueue<>());
        PreparedGradient borrowed = free.poll();
        PreparedGradient prepared = borrowed != null
                ? borrowed
                : new PreparedGradient(model, observable, tokenIds.length, Rules.EXACT);
        try {
            double value = prepared.run(tokenIds);
            return new Answer(value, lengths(prepared.gradient(0)));
        } finally {
            free.add(prepared);
        }
    }

    private static double[] lengths(Tensor gradient) {
        double[] lengths = new double[gradient.size(0)];
        for (int t = 0; t < lengths.length; t++) {
            double squares = 0;
            for (int i = 0; i < gradient.size(1); i++) {
                squares += gradient.get(t, i) * gradient.get(t, i);
            }
            lengths[t] = Math.sqrt(squares);
        }
        return lengths;
    }

    /** No call may be running. */
    @Override
    public void close() {
        idle.values().forEach(queue -> queue.forEach(PreparedGradient::close));
        model.close();
        backend.close();
    }
}
