package obsprop.analysis.search;

import java.util.List;
import obsprop.propagation.FeatureVector;

/** How much feature vectors, say of paths that a search found, point the same way. */
public final class PathAgreement {
    private PathAgreement() {}

    /** The cosine of each vector with each other, [n][n]; NaN with a vector of zeros. */
    public static double[][] cosines(List<FeatureVector> vectors) {
        double[][] cosines = new double[vectors.size()][vectors.size()];
        for (int i = 0; i < cosines.length; i++) {
            for (int j = 0; j < cosines.length; j++) {
                FeatureVector a = vectors.get(i);
                FeatureVector b = vectors.get(j);
                cosines[i][j] = a.dot(b.direction()) / (a.norm() * b.norm());
            }
        }
        return cosines;
    }
}
