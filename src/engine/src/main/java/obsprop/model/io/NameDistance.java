package obsprop.model.io;

import java.util.Arrays;

/** How far apart two tensor names are, for suggestions in messages. */
final class NameDistance {
    /** Names come from files and may be absurd. */
    private static final int LONGEST = 200;

    private NameDistance() {}

    /** Least (0 or 1) if one ends with the other, as where a prefix is missing; otherwise the Levenshtein distance. */
    static int between(String a, String b) {
        if (a.endsWith(b) || b.endsWith(a)) {
            return a.equals(b) ? 0 : 1;
        }
        return levenshtein(clip(a), clip(b));
    }

    private static String clip(String name) {
        return name.substring(Math.max(0, name.length() - LONGEST));
    }

    private static int levenshtein(String a, String b) {
        int[] row = new int[b.length() + 1];
        Arrays.setAll(row, j -> j);
        for (int i = 1; i <= a.length(); i++) {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.length(); j++) {
                int substituted = diagonal + (a.charAt(i - 1) == b.charAt(j - 1) ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.min(substituted, 1 + Math.min(row[j], row[j - 1]));
            }
        }
        return row[b.length()];
    }
}
