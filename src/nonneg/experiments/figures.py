def draw_all(studies, records, out):
    return []
