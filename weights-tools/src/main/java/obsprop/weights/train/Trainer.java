package obsprop.weights.train;

import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Map;
import java.util.SequencedMap;
import obsprop.kernel.Kernels;
import obsprop.model.Transformer;
import obsprop.model.family.ModelLoader;
import obsprop.model.io.Checkpoint;
import obsprop.model.io.Config;
import obsprop.tensor.Tensor;
import obsprop.tensor.io.SafetensorsFile;
import obsprop.tensor.io.SafetensorsWriter;

/**
 * A model being trained, with its optimiser. One state and one sequence of batches give the same weights to the bit,
 * whatever the number of threads.
 */
public final class Trainer implements AutoCloseable {
    private static final String OPTIMIZER = "optimizer.safetensors";

    private final TrainingOptions options;
    private final Kernels kernels;
    private final Parameters parameters;
    private final Transformer model;
    private final GradientPass pass;
    private final AdamW optimizer;
    private final Schedule schedule;

    private Trainer(TrainingOptions options, Kernels kernels, Parameters parameters, Transformer model, Arena arena) {
        this.options = options;
        this.kernels = kernels;
        this.parameters = parameters;
        this.model = model;
        this.pass = new GradientPass(model, parameters);
        this.optimizer = new AdamW(parameters, options.weightDecay(), arena);
        this.schedule = new Schedule(options.learningRate(), options.warmUp(), options.steps());
    }

    /** Starts from the F32 weights in {@code dir}, which stay as they are on disk. */
    public static Trainer open(Path dir, TrainingOptions options, Kernels kernels) {
        Arena arena = Arena.ofShared();
        try {
            Checkpoint checkpoint = Checkpoint.open(dir, arena, SafetensorsFile.Access.PRIVATE_COPY);
            Parameters parameters = new Parameters(checkpoint, kernels, arena);
            Transformer model = ModelLoader.build(Config.read(dir), checkpoint, kernels, arena);
            return new Trainer(options, kernels, parameters, model, arena);
        } catch (RuntimeException | Error e) {
            arena.close();
            throw e;
        }
    }

    /** Starts from what {@link #saveOptimizer} and {@link #weights} left in {@code dir}. */
    public static Trainer resume(Path dir, TrainingOptions options, Kernels kernels) {
        Trainer trainer = open(dir, options, kernels);
        try (Arena arena = Arena.ofShared()) {
            SafetensorsFile saved = SafetensorsFile.open(dir.resolve(OPTIMIZER), arena);
            trainer.optimizer.moments().forEach((name, moment) -> kernels.copy(saved.tensor(name), moment));
        }
        return trainer;
    }

    /**
     * What a step did.
     *
     * @param loss mean over the batch before the step, in nats per token
     * @param gradientNorm before clipping
     */
    public record Step(int number, double loss, double rate, double gradientNorm, int tokens) {}

    /** Does step {@code number}, from 1. */
    Step step(int number, Batches.Examples examples) {
        parameters.zeroGradients(kernels);
        double loss = pass.run(examples.batch(), examples.targets());
        double norm = optimizer.gradientNorm();
        double rate = schedule.rate(number);
        optimizer.step(number, rate, norm > options.clip() ? options.clip() / norm : 1);
        return new Step(number, loss, rate, norm, examples.targets().length);
    }

    /** The weights as they are now, by name. */
    SequencedMap<String, Tensor> weights() {
        return parameters.values();
    }

    void saveOptimizer(Path dir) {
        SafetensorsWriter.write(dir.resolve(OPTIMIZER), optimizer.moments(), Map.of());
    }

    @Override
    public void close() {
        model.close();
    }
}
