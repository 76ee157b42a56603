package obsprop.weights.train;

/**
 * How to train.
 *
 * @param steps number of steps in all
 * @param batchTokens rows of a batch, at most
 * @param learningRate peak of the schedule
 * @param warmUp steps until the peak
 * @param weightDecay of matrices, as a multiple of the learning rate
 * @param clip largest norm of all gradients together
 * @param seed of the initial weights and the order of the documents
 */
public record TrainingOptions(
        int steps, int batchTokens, double learningRate, int warmUp, double weightDecay, double clip, long seed) {
    public TrainingOptions {
        if (steps < 1 || batchTokens < 1 || warmUp < 1 || !(learningRate > 0) || !(clip > 0) || !(weightDecay >= 0)) {
            throw new IllegalArgumentException("steps, batch, warm-up, learning rate and clip must be positive");
        }
    }
}
